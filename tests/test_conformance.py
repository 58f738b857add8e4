"""Orbits, correlations, energies, swaps and flips against numbers computed by icet and smol."""

import json
import pathlib

import ase
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxce
from helpers import slow_ewald_matrix
from jaxce.lattice.orbits import canonical_keys

DATA = pathlib.Path(__file__).parent / "data"
SMOL = sorted(path.stem for path in (DATA / "smol").glob("*.json"))
ICET = sorted(path.stem for path in (DATA / "icet").glob("*.json"))

correlations = jax.jit(jaxce.correlations)
energy = jax.jit(jaxce.energy)
substitution_energies = jax.jit(jaxce.substitution_energies)
swap_energy = jax.jit(jaxce.swap_energy)
swap_correlations = jax.jit(jaxce.swap_correlations)


def in_parts(names, slow):
    """Cases and the first of their structures: each fourth structure, and the others in the slow tests.

    Every structure is another supercell and is compiled. One case takes longest; tests/io has all of them too, without
    compilation.
    """
    is_slow = lambda name, first: name == slow or first > 0
    return [
        pytest.param(name, first, marks=[pytest.mark.slow] if is_slow(name, first) else [])
        for name in names
        for first in range(4)
    ]


def read(program, name):
    return json.loads((DATA / program / f"{name}.json").read_text(encoding="utf-8"))


def smol_space(case):
    prim, basis = case["prim"], case["basis"]
    return jaxce.ClusterSpace(
        # smol keeps sites of different composition apart.
        jaxce.Prim(
            prim["lattice"],
            prim["frac_coords"],
            prim["allowed_species"],
            labels=[str(composition) for composition in prim["site_compositions"]],
        ),
        {int(order): cutoff for order, cutoff in case["cutoffs"].items()},
        {"sinusoid": "trigonometric"}.get(basis["name"], basis["name"]),
        orthonormal=basis["orthonormal"],
        measure=basis["site_measures"] if basis["use_concentration"] else None,
    )


def icet_space(case):
    primitive = case["primitive"]
    prim = jaxce.Prim(primitive["cell"], primitive["scaled_positions"], primitive["allowed_species_by_index"])
    return jaxce.ClusterSpace(prim, dict(enumerate(case["input"]["cutoffs"], start=2)))


def matched_orbit(space, clusters):
    """Our orbit with exactly these clusters."""
    wanted = set(map(tuple, canonical_keys(np.array(clusters)).tolist()))
    found = [o for o in space.orbits if o.order and wanted == set(map(tuple, canonical_keys(o.clusters).tolist()))]
    assert len(found) == 1, f"{len(found)} orbits have the clusters {clusters[:2]}..."
    return found[0]


def matched_function(space, orbit, cluster, labeling):
    """Our correlation whose function puts these site functions (from 1) on the points of this cluster."""
    cluster = np.array(cluster)
    row = canonical_keys(orbit.clusters).tolist().index(canonical_keys(cluster).tolist())
    own = orbit.clusters[row]
    shift = min(map(tuple, own.tolist())), min(map(tuple, cluster.tolist()))
    offset = np.array(shift[0][1:]) - np.array(shift[1][1:])
    moved = [(p[0], *(p[1:] + offset)) for p in cluster]
    if set(moved) != set(map(tuple, own.tolist())):
        # The lowest point need not correspond; try every translation that maps a point onto the first.
        offsets = [own[0, 1:] - p[1:] for p in cluster if p[0] == own[0, 0]]
        moved = next(
            m
            for m in ([(p[0], *(p[1:] + o)) for p in cluster] for o in offsets)
            if set(m) == set(map(tuple, own.tolist()))
        )
    labels = dict(zip(moved, labeling, strict=True))
    own_labeling = [labels[tuple(point)] for point in own.tolist()]
    start = int(np.searchsorted(space.orbit_of_correlation, space.orbits.index(orbit)))
    return start + next(i for i, f in enumerate(orbit.functions) if own_labeling in f.tolist())


def smol_order(space, case):
    """For each of smol's correlations, ours."""
    order = {0: 0}
    for reference in case["orbits"]:
        orbit = matched_orbit(space, reference["clusters"])
        assert orbit.order == reference["order"]
        assert orbit.multiplicity == reference["multiplicity"]
        assert orbit.diameter == pytest.approx(reference["diameter"], abs=1e-6)
        for function in reference["functions"]:
            labelings = np.array(function["site_function_indices"]) + 1
            order[function["id"]] = matched_function(space, orbit, reference["base_cluster"], labelings[0])
    return np.array([order[i] for i in range(len(order))])


def icet_order(space, case):
    """For each of icet's cluster vector entries, ours."""
    order = {0: 0}
    for reference in case["orbits"]:
        orbit = matched_orbit(space, reference["clusters"])
        assert orbit.multiplicity == reference["n_clusters"]
        representative = reference["representative"]
        cluster = [[s, *o] for s, o in zip(representative["sites"], representative["offsets"], strict=True)]
        for element in reference["elements"]:
            labeling = np.array(element["multicomponent_vector"]) + 1
            order[element["index"]] = matched_function(space, orbit, cluster, labeling)
    return np.array([order[i] for i in range(len(order))])


def expansion_in_order(space, order, coefficients):
    """The expansion whose coefficient `order[i]` is the reference's i."""
    values = np.empty(len(order))
    values[order] = coefficients
    return jaxce.ClusterExpansion(space, values)


@pytest.mark.parametrize("name", SMOL)
def test_smol_orbits_are_ours(name):
    case = read("smol", name)
    space = smol_space(case)
    order = smol_order(space, case)
    assert sorted(order) == list(range(space.num_correlations))
    assert space.multiplicities[order].tolist() == case["function_total_multiplicities"]
    assert space.num_clusters_per_prim == case["num_clusters_per_prim"]
    for ours, theirs in zip(space.site_functions, case["basis"]["site_functions"], strict=True):
        if theirs is not None:
            np.testing.assert_allclose(ours[1:], theirs, atol=1e-14)


@pytest.mark.parametrize(("name", "first"), in_parts(SMOL, "rocksalt_drx_ewald_sinusoid"))
def test_smol_correlations_and_energies_are_ours(name, first):
    case = read("smol", name)
    space = smol_space(case)
    order = smol_order(space, case)
    expansion = expansion_in_order(space, order, case["coefficients"][: space.num_correlations])
    for structure in case["structures"][first::4]:
        supercell = jaxce.Supercell(space.prim, structure["supercell_matrix"])
        points = np.array(structure["sites"])
        our_site = supercell.site_index(points[:, 0], points[:, 1:])
        occupancy = np.zeros(supercell.num_sites, dtype=np.int8)
        occupancy[our_site] = structure["occupancy"]
        occupancy = jnp.asarray(occupancy)
        tables = jaxce.build_tables(space, supercell)
        hamiltonian = jaxce.build_hamiltonian(expansion, supercell)
        vector = correlations(tables, occupancy)
        np.testing.assert_allclose(vector[order], structure["correlations"], rtol=0, atol=1e-12)
        assert energy(hamiltonian, occupancy) == pytest.approx(structure["ce_energy"], abs=1e-10)
        changes = substitution_energies(hamiltonian, occupancy)
        for change in structure["single_site_changes"]:
            value = changes[our_site[change["site"]], change["new_code"]]
            assert value == pytest.approx(change["delta_ce"], abs=1e-10)
        for swap in structure["swaps"]:
            i, j = our_site[swap["i"]], our_site[swap["j"]]
            expected = swap.get("delta_ce", swap["delta_energy"])
            assert swap_energy(hamiltonian, occupancy, i, j) == pytest.approx(expected, abs=1e-10)
            swapped = occupancy.at[i].set(occupancy[j]).at[j].set(occupancy[i])
            expected = correlations(tables, swapped) - vector
            np.testing.assert_allclose(swap_correlations(tables, occupancy, i, j), expected, atol=1e-12)


@pytest.mark.slow
def test_smol_ewald_energies_come_through_a_pair_term():
    case = read("smol", "rocksalt_drx_ewald_sinusoid")
    space = smol_space(case)
    expansion = expansion_in_order(space, smol_order(space, case), case["coefficients"][:-1])
    for structure in case["structures"]:
        supercell = jaxce.Supercell(space.prim, structure["supercell_matrix"])
        charges = [case["prim"]["charges"][site] for site in supercell.prim_sites]
        slots = np.repeat(np.arange(supercell.num_sites), [len(q) for q in charges])
        matrix = slow_ewald_matrix(supercell.lattice, supercell.cart_coords[slots], np.concatenate(charges))
        term = jaxce.build_pair_term(supercell, case["coefficients"][-1] * matrix)
        hamiltonian = jaxce.build_hamiltonian(expansion, supercell, pair_terms=[term])
        points = np.array(structure["sites"])
        our_site = supercell.site_index(points[:, 0], points[:, 1:])
        occupancy = np.zeros(supercell.num_sites, dtype=np.int8)
        occupancy[our_site] = structure["occupancy"]
        total = energy(hamiltonian, jnp.asarray(occupancy))
        assert total == pytest.approx(structure["total_energy"], abs=1e-7)
        for swap in structure["swaps"]:
            change = swap_energy(hamiltonian, jnp.asarray(occupancy), our_site[swap["i"]], our_site[swap["j"]])
            assert change == pytest.approx(swap["delta_energy"], abs=1e-7)


@pytest.mark.parametrize(("name", "first"), in_parts(ICET, "rocksalt_two_sublattices"))
def test_icet_cluster_vectors_and_energies_are_ours(name, first):
    case = read("icet", name)
    space = icet_space(case)
    order = icet_order(space, case)
    assert space.multiplicities[order].tolist() == case["multiplicities"]
    # icet's parameters are energies per site, inactive sites and vacancies counted.
    expansion = expansion_in_order(space, order, np.array(case["parameters"]) * space.prim.num_sites)
    for structure in case["structures"][first::4]:
        atoms = ase.Atoms(
            structure["symbols"], cell=structure["cell"], scaled_positions=structure["scaled_positions"], pbc=True
        )
        mapping = jaxce.map_structure(space.prim, atoms)
        occupancy = jnp.asarray(mapping.occupancy)
        hamiltonian = jaxce.build_hamiltonian(expansion, mapping.supercell)
        vector = correlations(jaxce.build_tables(space, mapping.supercell), occupancy)
        np.testing.assert_allclose(vector[order], structure["cluster_vector"], rtol=0, atol=1e-12)
        assert energy(hamiltonian, occupancy) == pytest.approx(structure["energy_total"], abs=1e-10)
        for swap in structure["swaps"]:
            i, j = mapping.site_of_atom[np.array(swap["sites"])]
            assert swap_energy(hamiltonian, occupancy, i, j) == pytest.approx(swap["delta_energy"], abs=1e-10)
        changes = substitution_energies(hamiltonian, occupancy)
        for flip in structure["flips"]:
            site = mapping.site_of_atom[flip["site"]]
            code = mapping.supercell.species[site].index(flip["symbol_after"])
            assert changes[site, code] == pytest.approx(flip["delta_energy"], abs=1e-10)


def test_a_non_primitive_prim_gives_the_same_correlations():
    case = read("icet", "bcc_ternary")
    primitive = icet_space(case)
    species = case["primitive"]["allowed_species_by_index"][0]
    given = case["input"]
    prim = jaxce.Prim(given["cell"], given["scaled_positions"], [species] * len(given["scaled_positions"]))
    conventional = jaxce.ClusterSpace(prim, dict(enumerate(given["cutoffs"], start=2)))
    assert len(conventional.orbits) == len(primitive.orbits)
    assert jaxce.reduce_to_primitive(prim).num_sites == 1
    order = icet_order(primitive, case)
    structure = next(s for s in case["structures"] if len(s["symbols"]) % 2 == 0)
    atoms = ase.Atoms(
        structure["symbols"], cell=structure["cell"], scaled_positions=structure["scaled_positions"], pbc=True
    )
    if structure["supercell_matrix"] is None:
        pytest.fail("the case should name its supercell of the two-site cell")
    mapping = jaxce.map_structure(prim, atoms)
    vector = correlations(jaxce.build_tables(conventional, mapping.supercell), jnp.asarray(mapping.occupancy))
    np.testing.assert_allclose(
        np.sort(vector), np.sort(np.array(structure["cluster_vector"])[np.argsort(order)]), atol=1e-12
    )
