"""Expansions: coefficients and ECIs, and coefficients that are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxce
from helpers import random_occupancies, slow_energy

PRIM = jaxce.Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0]], [["Cu", "Au", "X"]])
SPACE = jaxce.ClusterSpace(PRIM, {2: 2.9, 3: 2.9})
COEFFICIENTS = np.random.default_rng(0).normal(size=SPACE.num_correlations)


def test_a_coefficient_is_an_eci_times_its_multiplicity():
    expansion = jaxce.ClusterExpansion(SPACE, COEFFICIENTS)
    # fcc: one point, 6 pairs, 8 triangles per site; labelings: 1, 1 | 1, 2, 1 | 1, 3, 3, 1.
    assert SPACE.multiplicities.tolist() == [1, 1, 1, 6, 12, 6, 8, 24, 24, 8]
    np.testing.assert_allclose(expansion.ecis * [1, 1, 1, 6, 12, 6, 8, 24, 24, 8], COEFFICIENTS, rtol=1e-15)
    table = expansion.to_dataframe()
    assert table["coefficient"].tolist() == COEFFICIENTS.tolist()
    assert table["eci"].tolist() == expansion.ecis.tolist()
    assert table["multiplicity"].tolist() == SPACE.multiplicities.tolist()


def test_coefficients_are_a_copy_that_cannot_be_changed():
    given = COEFFICIENTS.copy()
    expansion = jaxce.ClusterExpansion(SPACE, given, {"by": "me"})
    given[0] = 7
    assert expansion.coefficients[0] == COEFFICIENTS[0]
    with pytest.raises(ValueError, match="read-only"):
        expansion.coefficients[0] = 1
    assert expansion.metadata == {"by": "me"}


FORMS = {"list": list, "tuple": tuple, "jax": jnp.asarray, "float32": lambda c: c.astype(np.float32)}


@pytest.mark.parametrize("convert", FORMS.values(), ids=FORMS)
def test_coefficients_may_come_in_any_real_form(convert):
    expansion = jaxce.ClusterExpansion(SPACE, convert(COEFFICIENTS))
    assert expansion.coefficients.dtype == np.float64
    np.testing.assert_allclose(expansion.coefficients, COEFFICIENTS, rtol=1e-6)


@pytest.mark.parametrize(
    ("coefficients", "message"),
    [
        (COEFFICIENTS[:-1], r"needs 10 coefficients.*shape \(9,\)"),
        (np.append(COEFFICIENTS, 0), r"needs 10 coefficients.*shape \(11,\)"),
        (COEFFICIENTS[None], r"shape \(1, 10\)"),
        (np.where(np.arange(10) == 3, np.nan, COEFFICIENTS), r"finite, but entries \[3\]"),
        (np.where(np.arange(10) == 9, -np.inf, COEFFICIENTS), r"finite, but entries \[9\]"),
        (COEFFICIENTS.astype(complex), "real numbers .* complex128"),
        (COEFFICIENTS > 0, "real numbers .* bool"),
        (["1.0"] * 10, "real numbers"),
    ],
)
def test_coefficients_that_do_not_fit_are_refused(coefficients, message):
    with pytest.raises(ValueError, match=message):
        jaxce.ClusterExpansion(SPACE, coefficients)


def test_taking_orbits_out_keeps_the_other_coefficients():
    expansion = jaxce.ClusterExpansion(SPACE, COEFFICIENTS, {"by": "me"})
    smaller = expansion.without_orbits([2])
    assert smaller.coefficients.tolist() == np.delete(COEFFICIENTS, [3, 4, 5]).tolist()
    np.testing.assert_array_equal(smaller.ecis, np.delete(expansion.ecis, [3, 4, 5]))
    assert smaller.metadata == {"by": "me"}
    single = expansion.without_correlations(iter([4, 7]))
    assert single.coefficients.tolist() == np.delete(COEFFICIENTS, [4, 7]).tolist()
    assert expansion.without_correlations([]).coefficients.tolist() == COEFFICIENTS.tolist()
    with pytest.raises(ValueError, match="orbit indices"):
        expansion.without_orbits([0])
    with pytest.raises(ValueError, match="correlation indices"):
        expansion.without_correlations([10])


def test_the_energy_of_atoms_is_that_of_their_occupancy():
    expansion = jaxce.ClusterExpansion(SPACE, COEFFICIENTS)
    supercell = jaxce.Supercell(PRIM, [1, 1, 2])
    occupancy = random_occupancies(supercell, 1, seed=1)[0]
    atoms = jaxce.occupancy_to_ase(supercell, occupancy, keep_vacancies=True)
    expected = slow_energy(SPACE, COEFFICIENTS, supercell, occupancy)
    assert expansion.energy_of(atoms) == pytest.approx(expected, abs=1e-10)


def test_the_description_names_the_constant_and_the_largest_coefficient():
    coefficients = np.arange(10) / 10
    assert repr(jaxce.ClusterExpansion(SPACE, coefficients)) == (
        "ClusterExpansion: 10 coefficients on Prim(1 sites: 1 x (Cu/Au/X)), "
        "constant 0.000000 eV per prim, largest other 0.900000"
    )


IONIC = jaxce.Prim(np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), [[0, 0, 0], [0.5, 0.5, 0.5]], [["Na", "X"], ["Cl"]])


def _madelung(coefficient):
    """Rock salt with a sodium-chlorine distance of 2 angstrom, eV per prim."""
    return -1.747564594633 * 14.399645478425668 / 2 * coefficient


@pytest.fixture(scope="module")
def ionic():
    space = jaxce.ClusterSpace(IONIC, {2: 2.9})
    charges = {"Na": 1, "Cl": -1}
    interactions = [
        jaxce.EwaldInteraction.from_charges(IONIC, charges, coefficient=weight, neutralize=True)
        for weight in (0.1, 0.2)
    ]
    return jaxce.ClusterExpansion(space, [1.5, 0.5, 0.25], {"by": "me"}, interactions)


def test_interactions_add_their_energy_to_that_of_the_clusters(ionic):
    supercell = jaxce.Supercell(IONIC, [1, 1, 2])
    full = jaxce.occupancy_to_ase(supercell, [0, 0, 0, 0])
    assert ionic.energy_of(full) == pytest.approx(2 * (1.5 - 0.5 + 0.25 + _madelung(0.3)), abs=1e-7)
    # One of two sodium atoms is away: the cell is charged, the background counts.
    linear, matrix = ionic.interactions[0].pair_arrays(supercell)
    coulomb = 3 * (linear[[1, 2, 3], 0].sum() + matrix[1:, 0, 1:, 0].sum())
    half = jaxce.occupancy_to_ase(supercell, [1, 0, 0, 0])
    clusters = slow_energy(ionic.space, ionic.coefficients, supercell, [1, 0, 0, 0])
    assert ionic.energy_of(half) == pytest.approx(clusters + coulomb, abs=1e-9)


def test_a_smaller_expansion_keeps_its_interactions(ionic):
    assert ionic.without_orbits([2]).interactions == ionic.interactions
    assert ionic.without_correlations([1]).interactions == ionic.interactions


def test_interactions_of_another_prim_are_refused(ionic):
    with pytest.raises(ValueError, match="give one per species"):
        jaxce.ClusterExpansion(SPACE, COEFFICIENTS, interactions=ionic.interactions)


def test_interactions_are_pair_terms_before_those_that_are_passed(ionic):
    """So that they are padded, stacked and sampled as any pair term."""
    supercell = jaxce.Supercell(IONIC, 1)
    passed = jaxce.build_pair_term(supercell, np.eye(3))
    plain = jaxce.ClusterExpansion(ionic.space, ionic.coefficients)
    sites, codes = [0, 0, 1], [0, 1, 0]
    terms = []
    for interaction in ionic.interactions:
        linear, matrix = interaction.pair_arrays(supercell)
        given = matrix[sites, codes][:, sites, codes] + np.diag(linear[sites, codes])
        terms.append(jaxce.build_pair_term(supercell, given))
    expected = jaxce.build_hamiltonian(plain, supercell, pair_terms=[*terms, passed])
    found = jaxce.build_hamiltonian(ionic, supercell, pair_terms=[passed])
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, atol=1e-13), found, expected)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    single = jaxce.build_hamiltonian(ionic, supercell, dtype=jnp.float32)
    assert {term.matrix.dtype for term in single.terms[1:]} == {jnp.dtype("float32")}
