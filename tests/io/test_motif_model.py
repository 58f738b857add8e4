"""Motif models against loops that count motifs, and the faults that codes of this family are known for."""

import json
import pickle

import ase
import jax
import numpy as np
import pytest

import jaxce
import motifs
from jaxce.io import read_motif_model, read_poscar
from jaxce.io.motif.files import read_linear_weights
from jaxce.io.motif.states import octahedral_permutations

IDS = [[0], [1, 2], [3, 4]]
NAMES = [["Sr"], ["Ti", "Fe"], ["O", "VO"]]
SHAPES = {"160 sites": (2, 4, 4), "40 sites, which meet their own images": (2, 2, 2)}

energy = jax.jit(jaxce.energy)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return motifs.write_files(tmp_path_factory.mktemp("motifs"))


@pytest.fixture(scope="module")
def model(files):
    return read_motif_model(*files[0], IDS, motifs.template((2, 4, 4)))


def slow_energy(supercell, occupancy, numbers, **keywords):
    names = [species[code] for species, code in zip(supercell.species, occupancy, strict=True)]
    shape = np.diag(supercell.transformation)
    return motifs.slow_energy(names, supercell.cart_coords, shape, numbers, **keywords)


def random_occupancies(supercell, count, seed=0):
    rng = np.random.default_rng(seed)
    is_active = supercell.prim.num_species[supercell.prim_sites] > 1
    return (is_active & (rng.uniform(size=(count, supercell.num_sites)) < 0.25)).astype(np.int8)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_energies_swaps_and_substitutions_are_those_of_counted_motifs(model, files, shape):
    supercell = jaxce.Supercell(model.prim, shape)
    hamiltonian = model.hamiltonian(supercell)
    occupancies = random_occupancies(supercell, 8)
    expected = np.array([slow_energy(supercell, occupancy, files[1]) for occupancy in occupancies])
    np.testing.assert_allclose(energy(hamiltonian, occupancies), expected, rtol=0, atol=1e-9)
    assert len(np.unique(np.round(expected, 6))) == 8
    b_sites, o_sites = (sublattice.sites for sublattice in supercell.sublattices)
    occupancy = occupancies[0]
    changes = np.asarray(jax.jit(jaxce.substitution_energies)(hamiltonian, occupancies))[0]
    # One of each sublattice flips; and neighbours swap, which share environments.
    for site in (b_sites[3], o_sites[5]):
        flipped = np.where(np.arange(supercell.num_sites) == site, 1 - occupancy, occupancy)
        difference = slow_energy(supercell, flipped, files[1]) - expected[0]
        np.testing.assert_allclose(changes[site, flipped[site]], difference, rtol=0, atol=1e-9)
    i = np.array([next(s for s in sites if occupancy[s] == 0) for sites in (b_sites, o_sites)])
    j = np.array([next(s for s in sites if occupancy[s] == 1) for sites in (b_sites, o_sites)])
    swaps = jax.jit(jaxce.swap_energy)(hamiltonian, occupancy, i, j)
    for first, second, found in zip(i, j, swaps, strict=True):
        swapped = occupancy.copy()
        swapped[[first, second]] = occupancy[[second, first]]
        np.testing.assert_allclose(found, slow_energy(supercell, swapped, files[1]) - expected[0], rtol=0, atol=1e-9)


def test_a_chain_that_rejects_most_moves_keeps_right_energies(model, files):
    """Fault: what is remembered of a move that was rejected is not taken back."""
    occupancy = random_occupancies(model.supercell, 2)
    result = jaxce.run_monte_carlo(
        jax.random.key(1), model.hamiltonian(), occupancy, temperature=np.array([500.0, 20000.0]), num_sweeps=100,
        sample_every=100, method="environment",
    )  # fmt: skip
    last = np.asarray(result.occupancy)
    assert 0 < result.acceptance_rate[0] < 0.2 < result.acceptance_rate[1]
    assert result.energy_drift.max() < 1e-9
    expected = [slow_energy(model.supercell, codes, files[1]) for codes in last]
    np.testing.assert_allclose(result.energy[:, -1], expected, rtol=0, atol=1e-9)
    # Fault: swap ranges that take A or O sites for B sites.
    for sublattice in model.supercell.sublattices:
        np.testing.assert_array_equal(*(np.sum(codes[:, sublattice.sites], axis=1) for codes in (occupancy, last)))


def test_first_features_are_the_numbers_of_ti_and_o(model, tmp_path):
    """Fault: all B and all O sites are counted."""
    weights = np.append([2.0, 3.0], np.zeros(len(motifs.MOTIFS)))
    paths, (_, mean, scale, intercept) = motifs.write_files(tmp_path, weights=weights)
    counting = read_motif_model(*paths, IDS, motifs.template((2, 4, 4)))
    occupancies = random_occupancies(model.supercell, 8)
    b_sites, o_sites = (sublattice.sites for sublattice in model.supercell.sublattices)
    numbers = np.stack([np.sum(occupancies[:, sites] == 0, axis=1) for sites in (b_sites, o_sites)], axis=1)
    expected = intercept + ((numbers - mean[:2]) / scale[:2]) @ weights[:2]
    np.testing.assert_allclose(energy(counting.hamiltonian(), occupancies), expected, rtol=0, atol=1e-9)


def test_species_are_matched_by_name_whatever_the_order_of_the_template(model, files):
    """Fault: what an id or a row of the POSCAR means depends on the order of its species."""
    text = motifs.template((2, 4, 4), order=("Fe", "O", "Sr", "VO", "Ti"))
    in_file_order = [[2], [0, 4], [1, 3]]
    readings = [read_motif_model(*files[0], group, text) for group in (IDS, NAMES, in_file_order)]
    for other, how in zip(readings, ("those of `species`", "by name", "in the template's order"), strict=True):
        assert how in repr(other)
    # Those of the template's order list Fe before Ti; energies are the same.
    assert [m.prim.species[1] for m in readings] == [("Ti", "Fe"), ("Ti", "Fe"), ("Fe", "Ti")]
    np.testing.assert_allclose(readings[0].table.energies, model.table.energies, rtol=0, atol=1e-12)
    flipped = np.flip(readings[2].table.energies, axis=tuple(range(7)))
    np.testing.assert_allclose(flipped, model.table.energies, rtol=0, atol=1e-12)
    atoms = read_poscar(text)
    for other in readings:
        allowed = [other.supercell.species[site] for site in other.site_of_atom]
        assert all(symbol in names for symbol, names in zip(atoms.get_chemical_symbols(), allowed, strict=True))


def test_table_is_unchanged_by_the_operations_of_a_cube(model):
    """Fault: O_h acts on a list of A neighbours that is cut off; here they do not matter, six or all eight."""
    for row in octahedral_permutations():
        axes = [0, *(1 + row), *(7 + row)]
        np.testing.assert_array_equal(model.table.energies.transpose(axes), model.table.energies)
    supercell = jaxce.Supercell(model.prim, 2)
    occupancies = random_occupancies(supercell, 8)
    for permutation in supercell.symmetry_permutations[:: len(supercell.symmetry_permutations) // 8]:
        moved = occupancies[:, permutation]
        values = [energy(model.hamiltonian(supercell), o) for o in (occupancies, moved)]
        np.testing.assert_allclose(*values, rtol=0, atol=1e-9)


def test_eight_a_neighbours_are_as_good_as_six(model, tmp_path):
    paths, _ = motifs.write_files(tmp_path, num_a=8)
    other = read_motif_model(*paths, IDS, motifs.template((2, 4, 4)))
    np.testing.assert_array_equal(other.table.energies, model.table.energies)


def test_energy_of_atoms_and_check(model, files):
    supercell = jaxce.Supercell(model.prim, 2)
    occupancy = random_occupancies(supercell, 1)[0]
    expected = slow_energy(supercell, occupancy, files[1])
    atoms = jaxce.occupancy_to_ase(supercell, occupancy)
    text = motifs.template((2, 4, 4))
    checked = read_motif_model(*files[0], IDS, text, check=[(atoms, expected)])
    assert checked.energy_of(atoms) == pytest.approx(expected, abs=1e-9)
    with pytest.raises(ValueError, match="does not give the energies of `check`"):
        read_motif_model(*files[0], IDS, text, check=[(atoms, expected + 1e-3)])


def test_a_distorted_rotated_template_is_the_same(model, files):
    atoms = read_poscar(motifs.template((2, 4, 4)))
    atoms.rotate(31, "z", rotate_cell=True)
    atoms.rattle(0.01, seed=0)
    other = read_motif_model(*files[0], IDS, atoms)
    np.testing.assert_array_equal(other.table.energies, model.table.energies)
    np.testing.assert_allclose(np.linalg.norm(other.prim.lattice, axis=1), motifs.EDGE, atol=1e-9)
    assert other.supercell.num_prims == 32


def test_opposite_directions_are_found_or_given(model, files, tmp_path):
    assert "((0, 5), (1, 4), (2, 3)), found" in repr(model)
    text = motifs.template((2, 4, 4))
    with pytest.raises(ValueError, match=r"opposite=\(\(0, 1\), .* states are several motifs"):
        read_motif_model(*files[0], IDS, text, opposite=((0, 1), (2, 3), (4, 5)))
    with pytest.raises(ValueError, match="as three pairs"):
        read_motif_model(*files[0], IDS, text, opposite=((0, 1), (2, 3), (4, 4)))
    fewer = motifs.MOTIFS[::3]
    paths, numbers = motifs.write_files(tmp_path, motifs=fewer)
    with pytest.raises(ValueError, match="If the file is meant to be incomplete"):
        read_motif_model(*paths, IDS, text)
    partial = read_motif_model(*paths, IDS, text, opposite=((5, 0), (1, 4), (2, 3)))
    missing = np.sum(~np.isin(motifs.canonical(motifs.STATES), motifs.canonical(fewer)))
    assert f"8192 states of a B site, of which {missing} are in no motif" in repr(partial)
    occupancies = random_occupancies(model.supercell, 8)
    expected = [slow_energy(model.supercell, o, numbers, motifs=fewer) for o in occupancies]
    np.testing.assert_allclose(energy(partial.hamiltonian(), occupancies), expected, rtol=0, atol=1e-9)


def test_several_species_on_a_sites_are_refused(files, tmp_path):
    atoms = read_poscar(motifs.template((2, 4, 4)))
    with pytest.raises(ValueError, match="48 operations of O_h cannot act"):
        read_motif_model(*files[0], [["Sr", "La"], *NAMES[1:]], atoms, species=(*motifs.SPECIES, "La"))


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ([[1], [0, 2], [3, 4]], "does not fit the motifs, which have Sr | Fe/Ti | O/X on A | B | O sites"),
        ([[0], [1, 2], [3, 5]], "no such ids"),
        ([["Sr"], ["Ti", "Mn"], ["O", "VO"]], "give names"),
        ([[0], [1, 2]], "the A, the B and the O sublattice"),
        ([[0], [1, 2], [3, 3]], "each once"),
    ],
    ids=["A and B exchanged", "unknown id", "unknown name", "two groups", "an id twice"],
)
def test_groups_that_do_not_fit_are_refused(files, group, message):
    with pytest.raises(ValueError, match=message.replace("|", r"\|")):
        read_motif_model(*files[0], group, motifs.template((2, 4, 4)))


def test_pickles_are_refused_and_name_the_command(files, tmp_path):
    path = tmp_path / "lasso.pkl"
    path.write_bytes(pickle.dumps({"coef_": [1.0]}))
    for arguments in ((path, *files[0][1:]), (files[0][0], path, files[0][2])):
        with pytest.raises(ValueError, match=r"jaxce convert-pickle --i-trust-this-file .*lasso.pkl .*lasso.json"):
            read_motif_model(*arguments, IDS, motifs.template((2, 2, 2)))


def test_models_in_files_of_skops_are_the_same(files, tmp_path):
    skops = pytest.importorskip("skops.io")
    # With skops only, as scikit-learn takes long to import.
    from sklearn.linear_model import LinearRegression
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    features = np.random.default_rng(0).poisson(2.0, size=(600, 442)).astype(float)
    scaler = StandardScaler().fit(features)
    linear = LinearRegression().fit(scaler.transform(features), features @ np.arange(442.0))
    paths = [tmp_path / f"{n}.skops" for n in range(3)]
    for path, estimator in zip(paths, (linear, scaler, MinMaxScaler().fit(features)), strict=True):
        skops.dump(estimator, path)
    weights, constant = read_linear_weights(*paths[:2], 442)
    np.testing.assert_allclose(weights, np.arange(442), rtol=0, atol=1e-7)
    assert constant == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="MinMaxScaler, which is neither"):
        read_linear_weights(paths[0], paths[2], 442)
    model = read_motif_model(*paths[:2], files[0][2], IDS, motifs.template((2, 2, 2)))
    assert "440 motifs" in repr(model)


def test_files_that_do_not_fit_each_other_are_refused(files, tmp_path):
    (model_file, scaler_file, motif_file), _ = files
    text = motifs.template((2, 2, 2))
    read = lambda *paths, **keywords: read_motif_model(*paths, IDS, text, **keywords)
    with pytest.raises(ValueError, match="were they exchanged"):
        read(scaler_file, model_file, motif_file)
    content = json.loads(motif_file.read_text(encoding="utf-8"))
    wrong = tmp_path / "wrong.json"
    for changed, message in (
        (content[:-1], "441 features are wanted"),
        ([m[:-1] for m in content], "19 species ids"),
        ([*content[:-1], [0, 1]], "lengths"),
        ({"motifs": content}, "holds dict"),
        ([[7, *content[0][1:]], *content[1:]], "ids in 0..4"),
        ([[1.0, *content[0][1:]], *content[1:]], "ids in 0..4"),
        ([content[1], *content[1:]], "not all states, each once"),
        ([[3, *content[0][1:]], *content[1:]], "does not fit the motifs"),
    ):
        wrong.write_text(json.dumps(changed), encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            read(model_file, scaler_file, wrong)
    with pytest.raises(ValueError, match="`counted_species` must be"):
        read(model_file, scaler_file, motif_file, counted_species=("Mn", "O"))
    broken = json.loads(model_file.read_text(encoding="utf-8"))
    broken["coefficients"][3] = float("nan")
    wrong.write_text(json.dumps(broken), encoding="utf-8")
    with pytest.raises(ValueError, match="NaN"):
        read(wrong, scaler_file, motif_file)


def test_templates_of_another_lattice_are_refused(files):
    text = motifs.template((2, 2, 2))
    atoms = read_poscar(text)
    read = lambda template, **keywords: read_motif_model(*files[0], IDS, template, **keywords)
    squeezed = atoms.copy()
    squeezed.set_cell(np.array(atoms.cell) * 0.9, scale_atoms=True)
    with pytest.raises(ValueError, match=r"6 B neighbours, but within .* angstrom they have"):
        read(squeezed)
    with pytest.raises(ValueError, match="on the O sublattice, which are not the 48 of a perovskite"):
        read(text, windows=jaxce.io.DistanceWindows(b_o=(1.8, 1.9)))
    with pytest.raises(ValueError, match="ascending positive"):
        read(text, windows=jaxce.io.DistanceWindows(b_a=(4.0, 3.0)))
    with pytest.raises(ValueError, match=r"species \['Mg'\]"):
        read(ase.Atoms("MgO", positions=[[0, 0, 0], [2, 0, 0]], cell=[4, 4, 4], pbc=True))
    missing = atoms[[i for i, atom in enumerate(atoms) if i != 8]]
    with pytest.raises(ValueError, match="6 B neighbours"):
        read(missing)
    with pytest.raises(ValueError, match="15 atoms"):
        read(atoms[1:])
    with pytest.raises(ValueError, match="make it from the model's own prim"):
        read(text).hamiltonian(jaxce.Supercell(jaxce.Prim(np.eye(3), [[0, 0, 0]], [["A", "B"]]), 1))
