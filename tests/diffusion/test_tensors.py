import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxce
from jaxce.diffusion import (
    occupancy_from_one_hot,
    one_hot,
    site_masks,
    structures_to_tensors,
    tensors_to_structures,
)

# Two, one and three species.
PRIM = jaxce.Prim(
    np.diag([4.0, 4.0, 5.0]),
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.1]],
    [["Sr", "La"], ["Ti"], ["O", "X", "F"]],
)
SUPERCELL = jaxce.Supercell(PRIM, (2, 1, 1))
OCCUPANCIES = np.array([[0, 1, 0, 0, 2, 1], [1, 1, 0, 0, 0, 2], [0, 0, 0, 0, 1, 1]], dtype=np.int8)


def test_one_hot_vectors_are_those_of_every_site_and_go_back():
    vectors = np.asarray(one_hot(SUPERCELL, OCCUPANCIES))
    expected = np.zeros((3, 6, 3))
    for sample in range(3):
        for site in range(6):
            expected[sample, site, OCCUPANCIES[sample, site]] = 1
    np.testing.assert_array_equal(vectors, expected)
    assert vectors.dtype == np.float64
    assert one_hot(SUPERCELL, OCCUPANCIES, dtype=jnp.float32).dtype == np.float32
    codes = jax.jit(lambda v: occupancy_from_one_hot(SUPERCELL, v))(vectors)
    np.testing.assert_array_equal(codes, OCCUPANCIES)
    assert codes.dtype == np.int8
    np.testing.assert_array_equal(occupancy_from_one_hot(SUPERCELL, vectors.astype(bool)), OCCUPANCIES)


def test_codes_of_logits_are_allowed_even_where_others_are_likelier():
    logits = np.zeros((6, 3))
    logits[:, 2] = 5.0
    logits[0, 1] = 1.0
    assert occupancy_from_one_hot(SUPERCELL, logits).tolist() == [1, 0, 0, 0, 2, 2]


def test_masks_tell_inactive_sites_and_missing_species():
    masks = site_masks(SUPERCELL)
    assert masks.present.tolist() == [True] * 6
    assert masks.active.tolist() == [True, True, False, False, True, True]
    assert masks.allowed.tolist() == [[1, 1, 0]] * 2 + [[1, 0, 0]] * 2 + [[1, 1, 1]] * 2


def test_padded_sites_of_a_batch_are_masked():
    expansion = jaxce.ClusterExpansion(jaxce.ClusterSpace(PRIM, {}), np.arange(4.0))
    pairs = []
    for size, codes in ((1, [1, 0, 2]), ((2, 1, 1), OCCUPANCIES[0])):
        supercell = jaxce.Supercell(PRIM, size)
        pairs.append((jaxce.build_hamiltonian(expansion, supercell), np.array(codes, dtype=np.int8)))
    batch = jaxce.pad_batch(pairs, pad_to=8)
    masks = site_masks(batch)
    np.testing.assert_array_equal(masks.present, batch.site_mask)
    assert masks.active.tolist() == [
        [True, False, True] + [False] * 5,
        [True, True, False, False, True, True] + [False] * 2,
    ]
    np.testing.assert_array_equal(masks.allowed[1, :6], site_masks(SUPERCELL).allowed)
    vectors = one_hot(batch, batch.occupancy)
    assert np.all(np.sum(vectors, axis=-1) == 1)
    np.testing.assert_array_equal(occupancy_from_one_hot(batch, vectors), batch.occupancy)


@pytest.mark.parametrize("keep_vacancies", [False, True], ids=["without vacancies", "with vacancies"])
def test_structures_come_back_as_they_went(keep_vacancies):
    structures = tensors_to_structures(SUPERCELL, OCCUPANCIES, keep_vacancies)
    assert [len(atoms) for atoms in structures] == ([6, 6, 6] if keep_vacancies else [5, 6, 4])
    shuffled = [atoms[np.random.default_rng(0).permutation(len(atoms))] for atoms in structures]
    np.testing.assert_array_equal(structures_to_tensors(SUPERCELL, shuffled), OCCUPANCIES)


def test_structures_are_read_from_files_and_text(tmp_path):
    atoms = tensors_to_structures(SUPERCELL, OCCUPANCIES[1:2])[0]
    atoms.write(tmp_path / "POSCAR", format="vasp")
    text = (tmp_path / "POSCAR").read_text(encoding="utf-8")
    found = structures_to_tensors(SUPERCELL, [tmp_path / "POSCAR", text])
    np.testing.assert_array_equal(found, OCCUPANCIES[[1, 1]])
    assert structures_to_tensors(SUPERCELL, []).shape == (0, 6)


def test_what_does_not_fit_is_refused():
    atoms = tensors_to_structures(SUPERCELL, OCCUPANCIES)[0]
    foreign = atoms.copy()
    foreign.symbols[0] = "Au"
    with pytest.raises(ValueError, match=r"structure 1: .*Au"):
        structures_to_tensors(SUPERCELL, [atoms, foreign])
    with pytest.raises(ValueError, match=r"\[..., 6\]"):
        one_hot(SUPERCELL, OCCUPANCIES[:, :5])
    with pytest.raises(ValueError, match=r"\[..., 6, 3\]"):
        occupancy_from_one_hot(SUPERCELL, np.zeros((2, 6, 2)))
    with pytest.raises(ValueError, match=r"\[structures, sites\]"):
        tensors_to_structures(SUPERCELL, OCCUPANCIES[0])
