"""icet, smol and CASM behind one interface, given the same energies as ours.

A peer's site functions are its own, so its coefficients are fitted: within the same cutoffs any complete set of cluster
functions spans the same energies, and a least-squares fit of its vectors to our energies is exact.
"""

import contextlib
import importlib.util
import io
import json
import os
import pathlib
import shutil
import tempfile
import time
import warnings

import numpy as np

import jaxce

# eV; energies are of supercells.
TOLERANCE = 1e-8


class Icet:
    """The `ClusterExpansionCalculator` of icet and its `CanonicalEnsemble`."""

    def __init__(self, problem):
        import ase
        from icet import ClusterSpace

        self.problem = problem
        system = problem.system
        prim = ase.Atoms(
            [names[0] for names in system.prim.species],
            scaled_positions=system.prim.frac_coords,
            cell=system.prim.lattice,
            pbc=True,
        )
        start = time.process_time()
        self.space = ClusterSpace(prim, list(system.cutoffs.values()), [list(names) for names in system.prim.species])
        self.seconds = {"cluster space": time.process_time() - start}
        self._make_calculator(np.ones(len(self.space)))

    def set_coefficients(self, coefficients):
        # icet's parameters are energies per site.
        self._make_calculator(coefficients / self.problem.system.prim.num_sites)

    def native(self, occupancy):
        """Atomic numbers, in our site order."""
        return self._structure(occupancy).numbers

    def vector(self, numbers):
        return self.calculator.cpp_calc.get_cluster_vector(numbers)

    def energy(self, numbers):
        return self.calculator.calculate_total(occupations=numbers)

    def canonical(self, occupancy, kelvin, sweeps):
        """A function that runs so many sweeps, and one that tells the accepted part of such a run."""
        from mchammer.ensembles import CanonicalEnsemble

        steps = sweeps * self.problem.supercell.num_sites
        # The acceptance is written once, at the end.
        folder = tempfile.TemporaryDirectory()
        ensemble = CanonicalEnsemble(
            self._structure(occupancy), self.calculator, kelvin, random_seed=1, dc_filename=f"{folder.name}/mc.dc",
            ensemble_data_write_interval=steps, trajectory_write_interval=10**12,
        )  # fmt: skip
        accepted = lambda: float(ensemble.data_container.get("acceptance_ratio")[-1])
        return lambda folder=folder: ensemble.run(steps), accepted

    def _structure(self, occupancy):
        return jaxce.occupancy_to_ase(self.problem.supercell, np.asarray(occupancy), keep_vacancies=True)

    def _make_calculator(self, parameters):
        from icet import ClusterExpansion
        from mchammer.calculators import ClusterExpansionCalculator

        self.expansion = ClusterExpansion(self.space, parameters)
        structure = self._structure(np.zeros(self.problem.supercell.num_sites, np.int8))
        start = time.process_time()
        self.calculator = ClusterExpansionCalculator(structure, self.expansion)
        self.seconds["supercell"] = time.process_time() - start


class Smol:
    """A processor of smol and its `Sampler`."""

    def __init__(self, problem):
        warnings.filterwarnings("ignore")
        from pymatgen.core import Lattice, Structure
        from smol.cofe import ClusterSubspace

        self.problem = problem
        prim = problem.system.prim
        # A part that is missing is vacant.
        species = [{name: 1 / len(names) for name in names if name != "X"} for names in prim.species]
        structure = Structure(Lattice(prim.lattice), species, prim.frac_coords)
        start = time.process_time()
        self.subspace = ClusterSubspace.from_cutoffs(structure, problem.system.cutoffs, basis="sinusoid", num_threads=1)
        self.seconds = {"cluster space": time.process_time() - start}
        self._make_processor(np.ones(self.subspace.num_corr_functions))
        self.site, self.codes = self._site_order()

    def set_coefficients(self, coefficients):
        self._make_processor(coefficients)

    def native(self, occupancy):
        """Species codes of smol, in its site order."""
        codes = np.asarray(occupancy)[self.site]
        return np.array([table[code] for table, code in zip(self.codes, codes, strict=True)], dtype=np.int32)

    def vector(self, occupancy):
        return self.processor.compute_feature_vector(occupancy) / self.problem.supercell.num_prims

    def energy(self, occupancy):
        return self.processor.compute_property(occupancy)

    def canonical(self, occupancy, kelvin, sweeps):
        """A function that runs so many sweeps, and one that tells the accepted part of such a run."""
        from smol.moca import Ensemble, Sampler

        steps = sweeps * self.problem.supercell.num_sites
        ensemble = Ensemble.from_cluster_expansion(self.expansion, np.diag(self.problem.system.size))
        sampler = Sampler.from_ensemble(ensemble, step_type="swap", temperature=kelvin, seeds=[1])
        start = self.native(occupancy)[None]

        def run(thin_by=steps):
            sampler.clear_samples()
            sampler.run(steps, start, thin_by=thin_by)

        def accepted():
            # Only samples count, so this run makes one of every step.
            run(thin_by=1)
            return float(sampler.efficiency())

        return run, accepted

    def _make_processor(self, coefficients):
        from smol.cofe import ClusterExpansion
        from smol.moca import ClusterExpansionProcessor

        self.expansion = ClusterExpansion(self.subspace, coefficients)
        start = time.process_time()
        matrix = np.diag(self.problem.system.size)
        self.processor = ClusterExpansionProcessor(self.subspace, matrix, self.expansion.coefs)
        self.seconds["supercell"] = time.process_time() - start

    def _site_order(self):
        """Our site of each of smol's, and for each the table from our codes to smol's."""
        supercell = self.problem.supercell
        site = nearest_sites(supercell, self.processor.structure.cart_coords)
        tables = []
        for index, allowed in zip(site, self.processor.allowed_species, strict=True):
            names = ["X" if type(species).__name__ == "Vacancy" else species.symbol for species in allowed]
            tables.append([names.index(name) for name in supercell.species[index]])
        return site, tables


class Casm:
    """CASM: a Clexulator that casm-bset writes and g++ compiles, and the canonical `MonteCalculator`."""

    def __init__(self, problem):
        # Read when the first Clexulator is compiled; without --no-as-needed, Debian's linker drops CASM's libraries.
        folder = importlib.util.find_spec("libcasm").submodule_search_locations[0]
        os.environ.setdefault("CASM_PREFIX", folder)
        os.environ.setdefault("CASM_SOFLAGS", "-shared -Wl,--no-as-needed")
        warnings.filterwarnings("ignore")
        self.problem = problem
        self.folder = tempfile.TemporaryDirectory(prefix="casm")
        prim = problem.system.prim
        self.species = [["Va" if name == "X" else name for name in names] for names in prim.species]
        start = time.perf_counter()
        self._write_clexulator()
        # The first time compiles.
        self.set_coefficients([0.0])
        self.seconds = {"cluster space": time.perf_counter() - start}
        start = time.perf_counter()
        self.set_coefficients([0.0])
        self.seconds["supercell"] = time.perf_counter() - start
        self.site = nearest_sites(problem.supercell, self.state.configuration.supercell.coordinate_cart().T)

    def set_coefficients(self, coefficients):
        import libcasm.clexmonte as clexmonte
        import libcasm.clexulator as clexulator

        self.input = self._system_input(coefficients)
        self.system = clexmonte.System.from_dict(self.input)
        matrix = np.diag(self.problem.system.size)
        self.state = self.system.make_default_state(matrix)
        self.expansion = self.system.clex(self.state, "formation_energy")
        neighbors = clexulator.SuperNeighborList(matrix, self.system.prim_neighbor_list)
        values = self.state.configuration.dof_values
        basis_set = self.system.basis_set("default")
        self.correlations = clexulator.Correlations(neighbors, basis_set, values)
        # CASM points to these and does not keep them.
        self._kept = (neighbors, values, basis_set)

    def native(self, occupancy):
        """Our species codes, in CASM's site order."""
        return np.asarray(occupancy, dtype=int)[self.site]

    def vector(self, occupation):
        self.state.configuration.set_occupation(occupation)
        return np.array(self.correlations.per_unitcell(self.correlations.per_supercell()))

    def energy(self, occupation):
        self.state.configuration.set_occupation(occupation)
        return self.expansion.per_supercell()

    def canonical(self, occupancy, kelvin, sweeps):
        """A function that runs so many sweeps, and one that tells the accepted part of such a run."""
        import libcasm.clexmonte as clexmonte
        from libcasm.monte import ValueMap

        # A run sets the expansion of its system to its own state, which `energy` must not see.
        system = clexmonte.System.from_dict(self.input)
        calculator = clexmonte.MonteCalculator(method="canonical", system=system)
        start = self.native(occupancy)
        conditions = {"temperature": kelvin, "param_composition": self._param_composition(start)}
        state = system.make_default_state(np.diag(self.problem.system.size))
        state = clexmonte.MonteCarloState(state.configuration, ValueMap.from_dict(conditions))
        results = []

        def run():
            state.configuration.set_occupation(start)
            fixture = _fixture(calculator, sweeps)
            results.append(calculator.run_fixture(state=state, sampling_fixture_params=fixture).results)

        return run, lambda: results[-1].n_accept / (results[-1].n_accept + results[-1].n_reject)

    def _write_clexulator(self):
        import libcasm.configuration as configuration
        import libcasm.xtal as xtal
        from casm.bset import make_clex_basis_specs, write_clexulator

        prim = self.problem.system.prim
        self.prim = xtal.Prim(xtal.Lattice(prim.lattice.T), prim.frac_coords.T, self.species, title="benchmark")
        casm_prim = configuration.Prim(self.prim)
        lengths = [0.0, 0.0, *self.problem.system.cutoffs.values()]
        specs = make_clex_basis_specs(casm_prim, max_length=lengths, occ_site_basis_functions_specs="chebychev")
        folder = pathlib.Path(self.folder.name)
        with contextlib.redirect_stdout(io.StringIO()):
            self.source, _, _ = write_clexulator(casm_prim, specs, folder, project_name="benchmark")

    def _system_input(self, coefficients):
        from libcasm.composition import make_standard_axes

        self.calculator, axes = make_standard_axes(self.species, vacancy_names={"Va"})
        self.axes = axes[0]
        # CASM reads no more of an orbit than which function has which coefficient.
        orbits = [
            {
                "linear_orbit_index": index,
                "mult": 1,
                "prototype": {"sites": []},
                "cluster_functions": [{"linear_function_index": index, "eci": float(coefficient)}],
            }
            for index, coefficient in enumerate(coefficients)
        ]
        path = pathlib.Path(self.folder.name) / "eci.json"
        path.write_text(json.dumps({"orbits": orbits}), encoding="utf-8")
        return {
            "prim": self.prim.to_dict(),
            "composition_axes": self.axes.to_dict(),
            "basis_sets": {"default": {"source": str(self.source)}},
            "clex": {"formation_energy": {"basis_set": "default", "coefficients": str(path)}},
        }

    def _param_composition(self, occupation):
        return list(self.axes.param_composition(self.calculator.mean_num_each_component(occupation)))


def _fixture(calculator, sweeps):
    """CASM's settings for a run of so many passes that keeps nothing."""
    fixture = calculator.make_default_sampling_fixture_params(
        label="benchmark", write_results=False, write_trajectory=False, write_observations=False, write_status=False
    )
    fixture.sample_by_pass(period=sweeps)
    fixture.clear_cutoffs()
    fixture.do_not_converge("potential_energy")
    fixture.set_min_count(sweeps)
    fixture.set_max_count(sweeps)
    return fixture


# Name -> class, modules that have to be there, what to install.
PEERS = {
    "icet": (Icet, ("icet",), "pip install icet"),
    "smol": (Smol, ("smol",), "pip install smol"),
    "CASM": (Casm, ("libcasm.clexmonte", "casm.bset"), "pip install libcasm-clexmonte casm-bset"),
}


def missing_peers():
    """Name -> what to install, of the peers that are not there."""
    missing = {name: command for name, (_, modules, command) in PEERS.items() if not all(map(_is_installed, modules))}
    if "CASM" not in missing and shutil.which("g++") is None:
        missing["CASM"] = "it needs g++ to compile its basis sets"
    return missing


def fitted_peer(name, problem):
    """The peer with our energies, and how far from them it is, eV per supercell.

    Raises:
        ValueError: if its energies are not ours.
        RuntimeError: if it cannot be built, such as without a working compiler.
    """
    peer = PEERS[name][0](problem)
    occupancies, energies = problem.fitted
    structures = [peer.native(occupancy) for occupancy in occupancies]
    vectors = problem.supercell.num_prims * np.array([peer.vector(structure) for structure in structures])
    coefficients = np.linalg.lstsq(vectors, energies)[0]
    peer.set_coefficients(coefficients)
    errors = np.abs([peer.energy(structure) for structure in structures] - energies)
    if errors.max() > TOLERANCE:
        raise ValueError(f"energies differ by up to {errors.max():.2g} eV, so nothing is timed")
    return peer, float(errors.max())


def nearest_sites(supercell, cart_coords):
    """Our site at each of these positions of the same supercell."""
    inverse = np.linalg.inv(supercell.lattice)
    apart = (cart_coords @ inverse)[:, None] - supercell.cart_coords @ inverse
    return np.linalg.norm(apart - np.round(apart), axis=-1).argmin(axis=1)


def _is_installed(module):
    # A module can only be looked for in a package that is there.
    return all(importlib.util.find_spec(name) is not None for name in (module.split(".")[0], module))
