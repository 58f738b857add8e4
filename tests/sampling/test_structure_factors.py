"""Structure factors against sums over sites, and the superlattice peaks of ordered phases."""

import numpy as np
import pytest

from helpers import random_occupancies
from jaxce.lattice.prim import Prim
from jaxce.lattice.supercell import Supercell
from jaxce.sampling.structure_factors import structure_factor

FCC = Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Cu", "Au"]])
SKEW = Prim(
    np.array([[3.0, 0.2, 0], [0.5, 3.3, 0.1], [0, 0.7, 3.9]]),
    [[0.1, 0, 0], [0.4, 0.5, 0.6], [0.9, 0.7, 0.3]],
    [["A", "B"], ["T"], ["A", "C", "X"]],
)
SIGNS = {"Cu": 1.0, "Au": -1.0}


def test_structure_factors_equal_sums_over_sites():
    supercell = Supercell(SKEW, [[2, 0, 0], [1, 3, 0], [0, 1, 2]])
    weights = {"A": 0.7, "B": -1.2, "C": 2.0, "T": 0.3}
    q = np.random.default_rng(0).integers(-5, 6, size=(7, 3)) @ np.linalg.inv(supercell.transformation).T
    occupancies = random_occupancies(supercell, 4, 1)
    values = structure_factor(supercell, q, weights)(occupancies.astype(np.int8))
    for occupancy, found in zip(occupancies, values, strict=True):
        for vector, intensity in zip(q, found, strict=True):
            wave_vector = 2 * np.pi * np.linalg.inv(SKEW.lattice) @ vector
            total = 0.0
            for site, position in enumerate(supercell.cart_coords):
                name = supercell.species[site][occupancy[site]]
                total += weights.get(name, 0.0) * np.exp(1j * wave_vector @ position)
            assert intensity == pytest.approx(abs(total) ** 2 / supercell.num_sites, abs=1e-12)


def test_l1_0_has_one_superlattice_peak():
    supercell = Supercell(FCC, 4)
    # Layers along the third cubic axis, whose height is the sum of the first two offsets.
    occupancy = (supercell.offsets[:, :2].sum(axis=1) % 2).astype(np.int8)
    observable = structure_factor(supercell, [[0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5], [0, 0, 0], [1, 0, 0]], SIGNS)
    np.testing.assert_allclose(observable(occupancy[None])[0], [64, 0, 0, 0, 0], rtol=0, atol=1e-12)
    assert observable.coords == {"q": ["0.5 0.5 0", "0.5 0 0.5", "0 0.5 0.5", "0 0 0", "1 0 0"]}


def test_pure_crystals_scatter_at_reciprocal_lattice_vectors_only():
    observable = structure_factor(Supercell(FCC, 3), [[0, 0, 0], [1, -2, 3], [1 / 3, 0, 0], [2 / 3, 1 / 3, 0]], SIGNS)
    np.testing.assert_allclose(observable(np.ones((1, 27), np.int8))[0], [27, 27, 0, 0], rtol=0, atol=1e-12)


def test_random_alloys_scatter_equally_at_all_wave_vectors():
    supercell = Supercell(FCC, 8)
    occupancies = np.random.default_rng(2).integers(0, 2, size=(400, 512)).astype(np.int8)
    values = structure_factor(supercell, [[0.5, 0.5, 0], [0.125, 0, 0], [0.25, 0.5, 0.75]], SIGNS)(occupancies)
    # The intensity of a complex wave has a standard deviation of its mean, that of a real one of the square root of 2.
    np.testing.assert_allclose(np.mean(values, axis=0), 1, rtol=0, atol=5 * np.sqrt(2 / 400))


def test_rounded_wave_vectors_are_taken_as_the_exact_ones():
    supercell = Supercell(FCC, [3, 1, 1])
    occupancies = random_occupancies(supercell, 3, 3).astype(np.int8)
    rounded, exact = (structure_factor(supercell, [x, 0, 0], SIGNS)(occupancies) for x in (0.33333, 1 / 3))
    np.testing.assert_array_equal(rounded, exact)


def test_wave_vectors_that_do_not_fit_are_refused_with_the_nearest():
    cubic = Supercell(Prim(np.eye(3), [[0, 0, 0]], [["Cu", "Au"]]), [4, 1, 1])
    with pytest.raises(ValueError, match="whole number of waves") as raised:
        structure_factor(cubic, [[0.3, 0, 0], [0.25, 0, 0], [0, 0.6, 0]], SIGNS)
    lines = ["0.3 0 0: nearest is 0.25 0 0", "0 0.6 0: nearest is 0 1 0"]
    assert [line.strip() for line in str(raised.value).splitlines()[1:]] == lines


@pytest.mark.parametrize("q", [[0, 0], [[0, 0, np.nan]], np.zeros((0, 3)), np.zeros((1, 1, 3))])
def test_what_is_no_wave_vector_is_refused(q):
    with pytest.raises(ValueError, match="wave vectors"):
        structure_factor(Supercell(FCC, 2), q, SIGNS)


@pytest.mark.parametrize(
    ("weights", "message"),
    [({"Fe": 1.0}, r"\['Fe'\]"), ({"X": 1.0, "Va": 1.0}, "one finite number"), ({"A": np.inf}, "one finite number")],
)
def test_weights_of_unknown_species_or_no_numbers_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        structure_factor(Supercell(SKEW, 2), [0, 0, 0], weights)


def test_names_of_the_vacancy_are_understood():
    supercell = Supercell(SKEW, 1)
    occupancy = np.array([[0, 0, 2]], np.int8)
    assert structure_factor(supercell, [0, 0, 0], {"Va": 3.0})(occupancy)[0, 0] == 3.0
