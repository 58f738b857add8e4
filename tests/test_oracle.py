"""The oracle: the same energies whatever form a structure has; swaps without hidden state."""

import numpy as np
import pytest

import jaxce
import motifs
from helpers import slow_energy
from jaxce.io.poscar import write_poscar

COMPOSITION = {"A": {"Sr": 6, "La": 2}, "B": {"Ti": 5, "Fe": 3}, "O": {"O": 22, "VO": 2}}


@pytest.fixture(scope="module")
def expansion():
    prim = jaxce.Prim(
        3.9 * np.eye(3),
        [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
        [["Sr", "La"], ["Ti", "Fe"], ["O", "X"], ["O", "X"], ["O", "X"]],
        sublattice_names=["A", "B", "O"],
    )
    space = jaxce.ClusterSpace(prim, {2: 4.0, 3: 3.4})
    values = np.random.default_rng(0).normal(0, 0.1, space.num_correlations)
    # Large enough that float32 would lose what is tested.
    values[0] = -40.0
    return jaxce.ClusterExpansion(space, values)


@pytest.fixture(scope="module")
def template(expansion):
    supercell = jaxce.Supercell(expansion.space.prim, 2)
    atoms = jaxce.occupancy_to_ase(supercell, np.zeros(40, dtype=int))
    # In another order than the sites, so that no test passes by taking places for sites.
    return atoms[np.random.default_rng(1).permutation(40)]


@pytest.fixture(scope="module")
def oracle(expansion, template):
    return jaxce.Oracle(expansion, template)


@pytest.fixture(scope="module")
def structures(template):
    return jaxce.generate_random_structure_batch(template, COMPOSITION, 6, seed=7)


def slow(oracle, structure):
    occupancy = jaxce.occupancy_from_ase(oracle.supercell, structure)
    return slow_energy(oracle.model.space, oracle.model.coefficients, oracle.supercell, occupancy)


def test_energies_are_those_of_the_slow_reference(oracle, structures):
    energies = oracle.compute_energy_batch(structures)
    assert energies.dtype == np.float64
    np.testing.assert_allclose(energies, [slow(oracle, atoms) for atoms in structures], rtol=0, atol=1e-10)
    assert oracle.compute_energy(structures[0]) == energies[0]


def test_every_form_of_a_structure_gives_the_same_energy(oracle, structures, tmp_path):
    atoms = structures[0]
    wanted = oracle.compute_energy(atoms)
    path = tmp_path / "POSCAR"
    write_poscar(path, atoms, vacancy="VO")
    occupancy = oracle.occupancy(atoms)
    one_hot = np.eye(2)[occupancy]
    without = atoms[[symbol != "X" for symbol in atoms.get_chemical_symbols()]]
    shifted = without.copy()
    shifted.positions += [0.3, 0.2, 0.1]
    rattled = atoms.copy()
    rattled.rattle(0.1, seed=0)
    symbols = atoms.get_chemical_symbols()
    listed = {
        "elements": symbols,
        "counts": [1] * 40,
        "lattice": np.array(atoms.cell),
        "coordinates": atoms.get_scaled_positions(),
    }
    forms = [path, str(path), path.read_text(), occupancy, occupancy.tolist(), one_hot, one_hot.astype(bool)]
    forms += [without, shifted, rattled, listed]
    np.testing.assert_allclose(oracle.compute_energy_batch(forms), wanted, rtol=0, atol=1e-10)
    batch = np.stack([oracle.occupancy(structure) for structure in structures])
    energies = oracle.compute_energy_batch(structures)
    np.testing.assert_allclose(oracle.compute_energy_batch(batch), energies, atol=1e-12)
    np.testing.assert_allclose(oracle.compute_energy_batch(np.eye(2)[batch]), energies, atol=1e-12)


def test_swaps_take_atoms_of_the_template_and_give_full_energies(oracle, structures):
    generator = np.random.default_rng(2)
    atoms = structures[1].copy()
    state = oracle.start(atoms)
    num_rejected = 0
    for _ in range(40):
        symbols = np.array(atoms.get_chemical_symbols())
        i = generator.integers(40)
        groups = [{"Sr", "La"}, {"Ti", "Fe"}, {"O", "X"}]
        j = generator.choice(
            [k for k in range(40) if {symbols[i], symbols[k]} <= next(g for g in groups if symbols[i] in g)]
        )
        proposed = oracle.compute_energy_incremental(state, int(i), int(j))
        exchanged = atoms.copy()
        exchanged.symbols[[i, j]] = exchanged.symbols[[j, i]]
        assert proposed.energy == pytest.approx(oracle.compute_energy(exchanged), abs=1e-9)
        np.testing.assert_array_equal(proposed.occupancy, oracle.occupancy(exchanged))
        if generator.uniform() < 0.5:
            state, atoms = proposed, exchanged
        else:
            # A rejected move leaves no trace.
            num_rejected += 1
            assert state.energy == pytest.approx(oracle.compute_energy(atoms), abs=1e-9)
    assert num_rejected > 5


def test_structures_of_occupancies_are_in_the_templates_order(oracle, structures):
    atoms = structures[2]
    again = oracle.structure(oracle.occupancy(atoms))
    assert again.get_chemical_symbols() == atoms.get_chemical_symbols()
    np.testing.assert_allclose(again.positions, atoms.positions)


def test_a_template_may_be_rotated_shifted_and_lack_atoms(expansion, structures):
    atoms = structures[3][[symbol != "X" for symbol in structures[3].get_chemical_symbols()]]
    wanted = expansion.energy_of(atoms)
    atoms.rotate(25, "z", rotate_cell=True)
    atoms.positions += [0.4, 0.1, 0.0]
    oracle = jaxce.Oracle(expansion, atoms)
    assert oracle.compute_energy(atoms) == pytest.approx(wanted, abs=1e-10)
    full = oracle.structure(oracle.occupancy(atoms))
    assert len(full) == 40
    assert full.get_chemical_symbols()[38:] == ["X", "X"]
    distances = full.get_all_distances(mic=True)[38:]
    # The vacancies are where the neighbours leave them room.
    assert sorted(distances[0])[1] == pytest.approx(3.9 / 2, abs=1e-6)
    assert oracle.compute_energy(full) == pytest.approx(wanted, abs=1e-10)


def test_a_supercell_is_a_template(expansion):
    supercell = jaxce.Supercell(expansion.space.prim, [[2, 0, 0], [0, 1, 0], [1, 0, 2]])
    oracle = jaxce.Oracle(expansion, supercell)
    assert oracle.supercell is supercell
    np.testing.assert_array_equal(oracle.site_of_atom, np.arange(20))


def test_motif_models_are_models_too(tmp_path):
    files, numbers = motifs.write_files(tmp_path)
    template = motifs.template((2, 2, 2), order=("O", "Sr", "VO", "Fe", "Ti"))
    model = jaxce.io.read_motif_model(*files, [["Sr"], ["Ti", "Fe"], ["O", "VO"]], motifs.template((2, 4, 4)))
    oracle = jaxce.Oracle(model, template)
    atoms = jaxce.io.read_poscar(template)
    counted = lambda atoms: motifs.slow_energy(atoms.get_chemical_symbols(), atoms.positions, (2, 2, 2), numbers)
    assert oracle.compute_energy(template) == pytest.approx(counted(atoms), abs=1e-9)
    symbols = atoms.get_chemical_symbols()
    i, j = symbols.index("Fe"), symbols.index("Ti")
    proposed = oracle.compute_energy_incremental(oracle.start(template), i, j)
    atoms.symbols[[i, j]] = ["Ti", "Fe"]
    assert proposed.energy == pytest.approx(counted(atoms), abs=1e-9)


def test_what_does_not_fit_is_refused(oracle, structures, expansion):
    state = oracle.start(structures[0])
    symbols = structures[0].get_chemical_symbols()
    with pytest.raises(ValueError, match="cannot be exchanged"):
        oracle.compute_energy_incremental(state, symbols.index("Sr"), symbols.index("O"))
    with pytest.raises(ValueError, match="counted from 0 to 39"):
        oracle.compute_energy_incremental(state, 0, 40)
    wrong = structures[0].copy()
    wrong.symbols[symbols.index("Sr")] = "Ti"
    with pytest.raises(ValueError, match="structure 1: 1 sites do not allow"):
        oracle.compute_energy_batch([structures[0], wrong])
    with pytest.raises(ValueError, match="relaxed_energy"):
        oracle.compute_energy(np.full((40, 2), 0.5))
    with pytest.raises(ValueError, match="40 integers"):
        oracle.compute_energy(np.zeros(39, dtype=int))
    with pytest.raises(ValueError, match="shape"):
        oracle.compute_energy_batch(np.zeros(40, dtype=int))
    other = structures[0].copy()
    other.set_cell([7.8, 7.8, 12.0])
    with pytest.raises(ValueError, match="structure 0"):
        oracle.compute_energy_batch([other])
    with pytest.raises(ValueError, match="must be a multiple of 2"):
        jaxce.Oracle(expansion, structures[0][:10])


def test_the_calculator_follows_species_and_refuses_forces(expansion, structures):
    from ase.calculators.calculator import PropertyNotImplementedError

    atoms = structures[0][[symbol != "X" for symbol in structures[0].get_chemical_symbols()]]
    atoms.calc = jaxce.ase_calculator(expansion)
    assert atoms.get_potential_energy() == pytest.approx(expansion.energy_of(atoms), abs=1e-10)
    i, j = (atoms.get_chemical_symbols().index(symbol) for symbol in ("Sr", "La"))
    atoms.symbols[[i, j]] = ["La", "Sr"]
    assert atoms.get_potential_energy() == pytest.approx(expansion.energy_of(atoms), abs=1e-10)
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_forces()


def test_the_calculator_tells_oxidation_states_apart():
    prim = jaxce.Prim(3 * np.eye(3), [[0, 0, 0]], [["Mn3+", "Mn4+"]])
    expansion = jaxce.ClusterExpansion(jaxce.ClusterSpace(prim, {2: 3.0}), [0.0, 1.0, 0.0])
    atoms = jaxce.occupancy_to_ase(jaxce.Supercell(prim, 1), [0])
    atoms.calc = jaxce.ase_calculator(expansion)
    first = atoms.get_potential_energy()
    atoms.arrays["species"][:] = "Mn4+"
    assert atoms.get_potential_energy() == pytest.approx(first + 2)
