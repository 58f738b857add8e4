"""Random structures on templates: exact composition, uniform, never all alike."""

import collections

import ase
import numpy as np
import pytest

import jaxce

COMPOSITION = {"A": {"Sr": 6, "La": 2}, "B": {"Ti": 5, "Fe": 3}, "O": {"O": 22, "VO": 2}}


@pytest.fixture(scope="module")
def template():
    cell = ase.Atoms(
        "SrTiO3",
        scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
        cell=3.9 * np.eye(3),
        pbc=True,
    )
    return cell.repeat(2)


def test_composition_is_exact_and_sites_stay_with_their_sublattice(template):
    for atoms in jaxce.generate_random_structure_batch(template, COMPOSITION, 20, seed=1):
        counts = collections.Counter(atoms.get_chemical_symbols())
        assert counts == {"Sr": 6, "La": 2, "Ti": 5, "Fe": 3, "O": 22, "X": 2}
        np.testing.assert_array_equal(atoms.positions, template.positions)
        was = np.array(template.get_chemical_symbols())
        now = np.array(atoms.get_chemical_symbols())
        assert set(now[was == "Sr"]) == {"Sr", "La"}
        assert set(now[was == "O"]) == {"O", "X"}


def test_structures_of_a_batch_differ_and_seeds_repeat(template):
    batch = jaxce.generate_random_structure_batch(template, COMPOSITION, 50, seed=3)
    distinct = {tuple(atoms.get_chemical_symbols()) for atoms in batch}
    assert len(distinct) == 50
    again = jaxce.generate_random_structure_batch(template, COMPOSITION, 5, seed=3)
    assert all(a == b for a, b in zip(again, batch[:5], strict=True))
    assert jaxce.generate_random_structure(template, COMPOSITION, seed=3) == batch[0]
    assert jaxce.generate_random_structure(template, COMPOSITION, seed=4) != batch[0]


def test_every_site_is_taken_equally_often(template):
    batch = jaxce.generate_random_structure_batch(template, COMPOSITION, 4000, seed=5)
    taken = sum(np.array(atoms.get_chemical_symbols()) == "X" for atoms in batch)
    sites = np.array(template.get_chemical_symbols()) == "O"
    expected = 4000 * 2 / 24
    assert taken[~sites].sum() == 0
    # Chi-square of 23 degrees of freedom, a little less than independent: its 1e-5 quantile from above is 62.
    assert np.sum((taken[sites] - expected) ** 2 / expected) < 62


def test_mixed_templates_and_fractions(template):
    mixed = jaxce.generate_random_structure(template, COMPOSITION, seed=0)
    fractions = {"A": {"Sr": 0.5, "La": 0.5}, "B": {"Ti": 1.0, "Fe": 0.0}, "O": {"O": 0.75, "VO": 0.25}}
    counts = collections.Counter(jaxce.generate_random_structure(mixed, fractions, seed=0).get_chemical_symbols())
    assert counts == {"Sr": 4, "La": 4, "Ti": 8, "O": 18, "X": 6}
    # Sublattices that are not named stay as they are.
    only_b = jaxce.generate_random_structure(template, {"B": {"Ti": 4, "Fe": 4}}, seed=0)
    assert collections.Counter(only_b.get_chemical_symbols()) == {"Sr": 8, "Ti": 4, "Fe": 4, "O": 24}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"O": {"O": 20, "VO": 2}}, "puts 22 species on them: 2 too few"),
        ({"A": {"Sr": 6, "La": 3}}, "puts 9 species on them: 1 too many"),
        ({"B": {"Fe": 4, "Mn": 4}}, "has 0 sites"),
        ({"O": {"O": 22, "VO": 1, "X": 1}}, "vacancy twice"),
        ({"A": {"Sr": -1, "La": 9}}, "from 0 on"),
        ({"A": {"Sr": 6, "O": 2}}, "on two sublattices"),
        ({"A": 8}, "must map species"),
        ({"A": {"Sr": 0.51, "La": 0.49}}, "not a whole number"),
    ],
    ids=["few", "many", "absent", "twice", "negative", "shared", "number", "fraction"],
)
def test_what_does_not_fit_is_refused_by_how_many(template, change, message):
    with pytest.raises(ValueError, match=message):
        jaxce.generate_random_structure(template, {**COMPOSITION, **change}, seed=0)
