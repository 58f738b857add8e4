"""Coulomb matrices against smol's numbers (made with smol 0.5.7 and pymatgen 2026.10) and a slow sum."""

import numpy as np
import pytest

from helpers import slow_ewald_matrix
from jaxce.lattice import ewald
from jaxce.lattice.ewald import EwaldInteraction
from jaxce.lattice.prim import Prim
from jaxce.lattice.supercell import Supercell

ROCKSALT = np.array([[0, 2.1, 2.1], [2.1, 0, 2.1], [2.1, 2.1, 0]])
PRIM = Prim(ROCKSALT, [[0, 0, 0], [0.5, 0.5, 0.5]], [["Li+", "Ti4+", "Mn3+"], ["O2-", "F-"]])
CHARGES = {"Li+": 1, "Ti4+": 4, "Mn3+": 3, "O2-": -2, "F-": -1}
SUPERCELL = Supercell(PRIM, [[2, 0, 0], [0, 2, 1], [0, -1, 2]])
# Ten prims with a net charge of +10: codes of the cations and anions, and their cells.
CODES = [2, 1, 1, 0, 0, 0, 0, 0, 0, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
CELLS = np.array(
    [
        [0, 0, 0],
        [0, 0, 1],
        [0, 0, 2],
        [0, 1, 1],
        [0, 1, 2],
        [1, 0, 0],
        [1, 0, 1],
        [1, 0, 2],
        [1, 1, 1],
        [1, 1, 2],
        [0, 0, 0],
        [0, 0, 1],
        [0, 0, 2],
        [0, 1, 1],
        [0, -1, 1],
        [1, 0, 0],
        [1, 0, 1],
        [1, 0, 2],
        [1, 1, 1],
        [1, -1, 1],
    ]
)


def occupancy():
    codes = np.zeros(SUPERCELL.num_sites, dtype=int)
    codes[SUPERCELL.site_index(np.repeat([0, 1], 10), CELLS)] = CODES
    return codes


def total(arrays, codes):
    linear, matrix = arrays
    sites = np.arange(len(codes))
    return linear[sites, codes].sum() + matrix[sites, codes][:, sites, codes].sum()


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({}, -328.04648150092464),
        ({"eta": 0.2}, -305.4703687261763),
        ({"use_term": "real"}, -54.34596264060815),
        ({"use_term": "reciprocal"}, 28.347234328917967),
        ({"use_term": "point"}, -302.04775318923447),
        ({"real_space_cut": 4.0, "recip_space_cut": 2.0}, -332.2449548323982),
        ({"eta": 0.6, "use_term": "real", "real_space_cut": 3.5}, -16.013124769679425),
    ],
    ids=["default", "eta", "real", "reciprocal", "point", "short cuts", "short real cut"],
)
def test_a_charged_cell_has_the_energy_of_smol(keywords, expected):
    interaction = EwaldInteraction.from_charges(PRIM, CHARGES, **keywords)
    assert total(interaction.pair_arrays(SUPERCELL), occupancy()) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("eta", [None, 0.15, 0.6])
def test_with_a_background_the_energy_is_that_of_pymatgen_whatever_eta(eta):
    interaction = EwaldInteraction.from_charges(PRIM, CHARGES, eta=eta, neutralize=True)
    # EwaldSummation(...).total_energy of the ordered structure, which has the background.
    assert total(interaction.pair_arrays(SUPERCELL), occupancy()) == pytest.approx(-366.52994709053576, abs=1e-8)


def test_the_matrix_is_that_of_a_slow_sum_also_in_a_skewed_cell_with_vacancies():
    lattice = np.array([[3.1, 0.2, 0], [0.4, 2.7, -0.3], [-0.5, 0.1, 4.0]])
    prim = Prim(lattice, [[0, 0, 0], [0.4, 0.5, 0.7]], [["Na+", "X", "Ca2+"], ["Cl-"]])
    supercell = Supercell(prim, [[1, 2, 0], [0, 1, 0], [1, 0, 2]])
    interaction = EwaldInteraction.from_charges(
        prim, {"Na+": 1, "Ca2+": 2, "Cl-": -1}, coefficient=0.3, neutralize=True
    )
    linear, matrix = interaction.pair_arrays(supercell)
    charges = np.array(interaction.charges[0] + interaction.charges[1] + (0, 0)).reshape(2, 3)[supercell.prim_sites]
    slots = np.repeat(np.arange(supercell.num_sites), 3)
    slow = 0.3 * slow_ewald_matrix(supercell.lattice, supercell.cart_coords[slots], charges.ravel())
    slow = slow.reshape(supercell.num_sites, 3, supercell.num_sites, 3)
    sites = np.arange(supercell.num_sites)
    np.testing.assert_allclose(linear, np.einsum("isis->is", slow), atol=1e-10)
    slow[sites, :, sites] = 0
    np.testing.assert_allclose(matrix, slow, atol=1e-10)
    np.testing.assert_allclose(matrix, matrix.transpose(2, 3, 0, 1), atol=1e-13)


def test_a_vacancy_is_no_slot_of_the_default_eta():
    with_vacancy = Prim(ROCKSALT, PRIM.frac_coords, [["Li+", "Ti4+", "X"], ["O2-", "F-"]])
    without = Prim(ROCKSALT, PRIM.frac_coords, [["Li+", "Ti4+"], ["O2-", "F-"]])
    # A charged cell, so that the energy depends on eta.
    charges = {name: CHARGES[name] for name in without.all_species}
    first, other = (
        EwaldInteraction.from_charges(prim, charges).pair_arrays(Supercell(prim, 2))[0][0, 0]
        for prim in (with_vacancy, without)
    )
    assert first == other


def test_rock_salt_has_its_madelung_constant_in_any_cell():
    interaction = EwaldInteraction.from_charges(PRIM, CHARGES)
    energies = []
    for repetition in (1, [2, 1, 3]):
        supercell = Supercell(PRIM, repetition)
        codes = np.where(supercell.prim_sites == 0, 0, 1)
        energies.append(total(interaction.pair_arrays(supercell), codes) / supercell.num_prims)
    # The Madelung constant of rock salt, 1.747564594633 per nearest distance.
    np.testing.assert_allclose(energies, -1.747564594633 * ewald.COULOMB / 2.1, rtol=1e-11)


def test_equal_interactions_are_equal():
    assert EwaldInteraction.from_charges(PRIM, CHARGES) == EwaldInteraction(charges=[[1, 4, 3.0], (-2, -1)])


def test_a_matrix_that_is_too_large_is_refused_before_it_is_made():
    with pytest.raises(ValueError, match=r"48\.9 GiB.*at most 5461 sites"):
        EwaldInteraction.from_charges(PRIM, CHARGES).pair_arrays(Supercell(PRIM, [30, 30, 15]))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"eta": 0.0}, "`eta` must be positive"),
        ({"real_space_cut": -1.0}, "`real_space_cut` must be positive"),
        ({"recip_space_cut": np.inf}, "`recip_space_cut` must be positive"),
        ({"coefficient": np.nan}, "must be finite"),
        ({"use_term": "both"}, "`use_term` must be one of"),
        ({"use_term": "real", "neutralize": True}, "a background belongs to the total energy"),
    ],
    ids=["eta", "real cut", "reciprocal cut", "coefficient", "term", "background of a part"],
)
def test_numbers_without_meaning_are_refused(keywords, message):
    with pytest.raises(ValueError, match=message):
        EwaldInteraction.from_charges(PRIM, CHARGES, **keywords)


def test_charges_must_name_all_species_and_no_others():
    with pytest.raises(ValueError, match=r"\['F-'\] are missing, \['S2-'\] are no species"):
        EwaldInteraction.from_charges(PRIM, {"Li+": 1, "Ti4+": 4, "Mn3+": 3, "O2-": -2, "S2-": -2})
    with pytest.raises(ValueError, match=r"for \[3, 1\] species .* have \[3, 2\]"):
        EwaldInteraction(charges=[[1, 2, 3], [4]]).pair_arrays(SUPERCELL)
