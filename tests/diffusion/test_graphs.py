import itertools

import jax
import numpy as np
import pytest

import cuau
import jaxce
from jaxce.diffusion import augmented, neighbour_graph

FCC = jaxce.Prim([[0, 1.9, 1.9], [1.9, 0, 1.9], [1.9, 1.9, 0]], [[0, 0, 0]], [["Cu", "Au"]])
PEROVSKITE = jaxce.Prim(
    np.eye(3) * 3.9,
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
    [["Sr", "La"], ["Ti"], *[["O", "X"]] * 3],
)


def edges_by_loops(supercell, cutoff, reach=3):
    """Every (sender, receiver, displacement) up to the cutoff, image by image."""
    found = []
    for images in itertools.product(range(-reach, reach + 1), repeat=3):
        for i, start in enumerate(supercell.cart_coords):
            for j, end in enumerate(supercell.cart_coords):
                vector = end + np.array(images) @ supercell.lattice - start
                if 1e-9 < np.linalg.norm(vector) <= cutoff + 1e-6:
                    found.append((i, j, *vector))
    return np.array(found)


@pytest.mark.parametrize(
    ("prim", "size", "cutoff"),
    [(FCC, 1, 3.8), (FCC, (2, 2, 1), 4.7), (PEROVSKITE, (1, 1, 2), 3.9)],
    ids=["one site that sees only itself", "fcc, 4 sites", "perovskite, 10 sites"],
)
def test_graph_has_every_edge_of_brute_force(prim, size, cutoff):
    supercell = jaxce.Supercell(prim, size)
    graph = neighbour_graph(supercell, cutoff)
    ours = np.column_stack([graph.senders, graph.receivers, graph.displacements]).round(5)
    theirs = edges_by_loops(supercell, cutoff).round(5)
    # -0.0 and 0.0 are one.
    ours, theirs = (np.unique(edges + 0.0, axis=0) for edges in (ours, theirs))
    assert len(ours) == len(graph.senders)
    np.testing.assert_allclose(ours, theirs, atol=2e-5)
    np.testing.assert_allclose(np.linalg.norm(graph.displacements, axis=1), graph.distances, atol=1e-12)
    assert np.all(np.diff(graph.receivers) >= 0)


def test_cutoff_is_inclusive_and_fcc_has_its_shells():
    graph = neighbour_graph(jaxce.Supercell(FCC, 2), 3.8)
    assert len(graph.senders) == 8 * (12 + 6)
    assert np.bincount(graph.kind).tolist() == [8 * 12, 8 * 6]
    np.testing.assert_allclose(graph.distances[graph.kind == 1], 3.8)


def test_edges_of_one_kind_are_equivalent_and_no_others():
    supercell = jaxce.Supercell(PEROVSKITE, 1)
    graph = neighbour_graph(supercell, 3.9)
    kinds = set(graph.kind.tolist())
    assert kinds == set(range(len(kinds)))
    # Ti-O, O-Ti: the same length, but another direction. O-O across an edge of the octahedron is one kind; O-O by a
    # lattice vector is two, as the vector may lead through the titanium or not.
    for kind in kinds:
        of_kind = graph.kind == kind
        assert np.ptp(graph.distances[of_kind]) < 1e-9
        names = {
            (supercell.species[i], supercell.species[j])
            for i, j in zip(graph.senders[of_kind], graph.receivers[of_kind], strict=True)
        }
        assert len(names) == 1
    oxygen = (graph.senders >= 2) & (graph.receivers >= 2)
    short, long = graph.distances < 2.8, graph.distances > 3.8
    assert np.bincount(graph.kind[oxygen & short])[np.unique(graph.kind[oxygen & short])].tolist() == [3 * 8]
    assert sorted(np.unique(graph.kind[oxygen & long], return_counts=True)[1].tolist()) == [3 * 2, 3 * 4]
    titanium_oxygen = (graph.senders == 1) & (graph.receivers >= 2) & short
    oxygen_titanium = (graph.senders >= 2) & (graph.receivers == 1) & short
    assert set(graph.kind[titanium_oxygen]).isdisjoint(graph.kind[oxygen_titanium])


@pytest.mark.parametrize("cutoff", [0.0, -1.0, np.inf, np.nan], ids=str)
def test_cutoffs_that_are_no_distance_are_refused(cutoff):
    with pytest.raises(ValueError, match="cutoff"):
        neighbour_graph(jaxce.Supercell(FCC, 1), cutoff)


def test_augmentation_draws_every_operation_and_puts_species_where_it_says():
    permutations = jaxce.Supercell(PEROVSKITE, (1, 1, 2)).symmetry_permutations
    # All sites differ, so that an image tells its operation.
    occupancy = np.broadcast_to(np.arange(10, dtype=np.int8), (4000, 10))
    images = np.asarray(jax.jit(augmented)(jax.random.key(0), occupancy, permutations))
    expected = np.empty_like(permutations)
    for row, permutation in zip(expected, permutations, strict=True):
        row[permutation] = np.arange(10)
    order = {tuple(row): number for number, row in enumerate(expected.tolist())}
    counts = np.bincount([order[tuple(image)] for image in images.tolist()], minlength=len(order))
    mean = 4000 / len(order)
    chi_square = np.sum((counts - mean) ** 2) / mean
    assert chi_square < len(order) + 5 * np.sqrt(2 * len(order))


def test_augmentation_leaves_energies_unchanged():
    supercell, states, energies, bit_of_site = cuau.all_states()
    some = states[np.random.default_rng(0).integers(0, 2**16, (50, 4))]
    images = np.asarray(augmented(jax.random.key(1), some, supercell.symmetry_permutations))
    assert np.mean(np.any(images != some, axis=-1)) > 0.9
    number = lambda occupancies: np.sum((1 - occupancies).astype(int) << bit_of_site, axis=-1)
    np.testing.assert_allclose(energies[number(images)], energies[number(some)], rtol=0, atol=1e-9)
    assert np.std(energies[number(some)]) > 0.05
    with pytest.raises(ValueError, match=r"\[..., 16\]"):
        augmented(jax.random.key(1), some[..., :9], supercell.symmetry_permutations)
