"""Warnings about wrong units: where energies are per atom, prim or structure other than stated, and only there."""

import warnings

import numpy as np
import pytest

import jaxce
from helpers import random_occupancies

PRIM = jaxce.Prim(
    np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0], [0.5, 0.5, 0.5]], [["Ni", "Mg"], ["O", "X"]]
)
CELLS = [1, [2, 1, 1], [3, 1, 1], [2, 2, 1]]
NUM_CONCENTRATIONS = 2


def structures_and_totals(count, seed, energy_of):
    """Random structures, and their total energies from an energy per prim."""
    generator = np.random.default_rng(seed)
    structures, totals, prims = [], [], []
    while len(structures) < count:
        supercell = jaxce.Supercell(PRIM, CELLS[generator.integers(len(CELLS))])
        occupancy = random_occupancies(supercell, 1, int(generator.integers(2**31)))[0]
        fractions = [np.mean(occupancy[supercell.prim_sites == site]) for site in (0, 1)]
        structures.append(jaxce.occupancy_to_ase(supercell, occupancy))
        totals.append(supercell.num_prims * energy_of(fractions, generator))
        prims.append(supercell.num_prims)
    return structures, np.array(totals), np.array(prims)


def like_dft(fractions, generator):
    return -11.0 + 1.5 * fractions[0] + 4.0 * fractions[1] + 0.05 * generator.normal()


def warnings_of(structures, energies, energies_per):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        jaxce.map_training_data(PRIM, structures, energies, energies_per=energies_per)
    return [str(entry.message) for entry in caught]


@pytest.mark.parametrize(
    ("stated", "actual", "evidence"),
    [
        ("structure", "atom", "stated per structure, but look as if they were of one atom or prim"),
        ("structure", "prim", "stated per structure, but look as if they were of one atom or prim"),
        ("atom", "structure", "stated per atom, but look as if they were of the whole structure"),
        ("prim", "structure", "stated per prim, but look as if they were of the whole structure"),
    ],
)
def test_another_unit_is_seen(stated, actual, evidence):
    structures, totals, prims = structures_and_totals(24, 0, like_dft)
    atoms = np.array([len(structure) for structure in structures])
    energies = totals / {"structure": 1, "atom": atoms, "prim": prims}[actual]
    (message,) = warnings_of(structures, energies, stated)
    assert evidence in message
    assert "times better" in message


@pytest.mark.parametrize("unit", ["structure", "atom", "prim"])
def test_the_right_unit_is_silent(unit):
    structures, totals, prims = structures_and_totals(24, 1, like_dft)
    atoms = np.array([len(structure) for structure in structures])
    assert warnings_of(structures, totals / {"structure": 1, "atom": atoms, "prim": prims}[unit], unit) == []


def test_single_energies_per_atom_among_totals_are_named():
    structures, totals, prims = structures_and_totals(24, 2, like_dft)
    wrong = np.flatnonzero((prims == 3) | (prims == 4))[:2]
    energies = totals.copy()
    energies[wrong] /= [len(structures[row]) for row in wrong]
    for row in wrong:
        structures[row].info["id"] = f"odd one {row}"
    (message,) = warnings_of(structures, energies, "structure")
    assert message.startswith("2 energies are off by the size of their cells")
    for row in wrong:
        assert f"odd one {row}: {energies[row] / prims[row]:.4f} eV per prim, expected -" in message
        assert f"{prims[row]} prims, {len(structures[row])} atoms" in message


def test_single_totals_among_energies_per_prim_are_named():
    structures, totals, prims = structures_and_totals(24, 3, like_dft)
    wrong = int(np.flatnonzero(prims == 4)[0])
    energies = totals / prims
    energies[wrong] = totals[wrong]
    (message,) = warnings_of(structures, energies, "prim")
    assert message.startswith("1 energies are off")


def test_an_outlier_of_another_kind_is_not_called_a_unit():
    structures, totals, prims = structures_and_totals(24, 4, like_dft)
    wrong = int(np.flatnonzero(prims == 4)[0])
    totals[wrong] *= 0.4
    assert warnings_of(structures, totals, "structure") == []


def formation(_, generator):
    return -0.2 * generator.random()


def around_zero(_, generator):
    return generator.normal()


@pytest.mark.parametrize("energy_of", [formation, around_zero], ids=lambda function: function.__name__)
@pytest.mark.parametrize("unit", ["structure", "prim"])
def test_energies_that_composition_does_not_describe_give_no_alarm(energy_of, unit):
    for seed in range(12):
        structures, totals, prims = structures_and_totals(4 + 2 * seed, 100 + seed, energy_of)
        energies = totals if unit == "structure" else totals / prims
        assert warnings_of(structures, energies, unit) == []


def test_few_structures_give_no_alarm():
    # As many coefficients of composition as structures, nearly: any energies are described well.
    for seed in range(30):
        structures, totals, _ = structures_and_totals(4, 200 + seed, formation)
        assert warnings_of(structures, totals, "structure") == []


def test_equal_energies_are_no_error():
    structures, totals, prims = structures_and_totals(20, 5, lambda fractions, _: -11.0 + 4.0 * fractions[1])
    assert warnings_of(structures, np.zeros(20), "structure") == []
    (message,) = warnings_of(structures, np.full(20, -5.0), "structure")
    assert "one atom or prim" in message
    assert warnings_of(structures, totals, "structure") == []
    assert warnings_of(structures, totals / prims, "prim") == []


def test_one_size_of_cells_tells_nothing():
    structures, totals, prims = structures_and_totals(60, 6, like_dft)
    same = np.flatnonzero(prims == 4)
    structures = [structures[row] for row in same]
    assert warnings_of(structures, totals[same] / 4, "structure") == []
