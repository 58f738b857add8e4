"""What is written reads back the same, whatever it is: models, settings, POSCAR files, trajectories, linear models."""

import math
import pathlib
import tempfile

import ase
import ase.io
import numpy as np
from hypothesis import assume, given, settings as hypothesis_settings, strategies as st

import jaxce
from jaxce.commands.run_settings import RunSettings, read_settings
from jaxce.io.linear_model_file import FeatureScaler, LinearModel, read_linear_model, write_linear_model
from jaxce.io.poscar import read_poscar, write_poscar
from jaxce.lattice.trajectory import write_trajectory

FEW = hypothesis_settings(max_examples=25, deadline=None)
ELEMENTS = ("Sr", "Ti", "O", "Cu", "Au", "V", "X")
FINITE = st.floats(allow_nan=False, allow_infinity=False)
FRACTIONS = st.floats(0, 1, exclude_max=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


def in_file(name, write, read):
    """What is read from a file that was just written."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / name
        write(path)
        assert [found.name for found in path.parent.iterdir()] == [name]
        return read(path)


SPECIES = st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=3, unique=True)


@hypothesis_settings(max_examples=10, deadline=None)
@given(
    distortion=st.lists(st.floats(-0.8, 0.8), min_size=9, max_size=9),
    first=SPECIES.filter(lambda names: len(names) > 1),
    second=SPECIES,
    metadata=st.dictionaries(TEXTS, JSON, max_size=3),
    data=st.data(),
)
def test_models(distortion, first, second, metadata, data):
    # Equivalent sites list their species in one order.
    assume(first == second or set(first) != set(second))
    lattice = 3 * np.eye(3) + np.reshape(distortion, (3, 3))
    prim = jaxce.Prim(lattice, [[0, 0, 0], [0.5, 0.5, 0.5]], [first, second])
    space = jaxce.ClusterSpace(prim, {2: 4.0})
    count = space.num_correlations
    coefficients = data.draw(st.lists(FINITE, min_size=count, max_size=count))
    expansion = jaxce.ClusterExpansion(space, coefficients, metadata)
    loaded = in_file("model.json", expansion.save, jaxce.ClusterExpansion.load)
    np.testing.assert_array_equal(loaded.coefficients, expansion.coefficients)
    np.testing.assert_array_equal(loaded.space.prim.lattice, expansion.space.prim.lattice)
    assert loaded.space.prim.species == expansion.space.prim.species
    assert loaded.metadata == expansion.metadata
    for orbit, other in zip(loaded.space.orbits, expansion.space.orbits, strict=True):
        np.testing.assert_array_equal(orbit.clusters, other.clusters)
    for table, other in zip(loaded.space.site_functions, expansion.space.site_functions, strict=True):
        np.testing.assert_array_equal(table, other)


KELVIN = st.floats(1e-3, 1e6)
NUMBERS = st.floats(-10, 10)
# Settings that go together.
RUN_SETTINGS = st.fixed_dictionaries(
    {
        "model": TEXTS.filter(bool),
        "composition": st.dictionaries(TEXTS, st.floats(0, 1), min_size=1, max_size=3),
        "temperature": KELVIN | st.lists(KELVIN, min_size=1, max_size=3) | st.just("300:900:4"),
        "ensemble": st.just("semi-grand"),
        "supercell": st.integers(1, 9) | st.lists(st.integers(-9, 9), min_size=3, max_size=3),
    },
    optional={
        "mu": st.dictionaries(TEXTS, NUMBERS | st.lists(NUMBERS, min_size=1, max_size=3), min_size=1, max_size=3),
        "until": st.dictionaries(TEXTS, st.floats(1e-9, 1e3), min_size=1, max_size=2),
        "short_range_order": st.integers(0, 5),
        "sweeps": st.integers(1, 1000),
        "x64": st.booleans(),
        "seed": st.integers(0, 2**31),
    },
)


@FEW
@given(values=RUN_SETTINGS)
def test_settings_of_runs(values):
    settings = RunSettings(**values)
    write = lambda path: path.write_text(settings.text(), encoding="utf-8")
    # Paths in a file count from its folder.
    flags = {"model": settings.model, "folder": settings.folder}
    loaded = in_file("run.toml", write, lambda path: read_settings(path, flags))
    assert loaded == settings


@FEW
@given(
    distortion=st.lists(st.floats(-1, 1), min_size=9, max_size=9),
    symbols=st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=6),
    data=st.data(),
)
def test_poscar_files(distortion, symbols, data):
    cell, count = 4 * np.eye(3) + np.reshape(distortion, (3, 3)), 3 * len(symbols)
    coords = np.reshape(data.draw(st.lists(FRACTIONS, min_size=count, max_size=count)), (-1, 3))
    atoms = ase.Atoms(symbols, scaled_positions=coords, cell=cell, pbc=True)
    loaded = in_file("POSCAR", lambda path: write_poscar(path, atoms, vacancy="VO"), read_poscar)
    order = [i for name in dict.fromkeys(atoms.symbols) for i, symbol in enumerate(atoms.symbols) if symbol == name]
    assert loaded.get_chemical_symbols() == [atoms.symbols[i] for i in order]
    np.testing.assert_allclose(loaded.cell, atoms.cell, rtol=0, atol=1e-14)
    np.testing.assert_allclose(loaded.positions, atoms.positions[order], rtol=0, atol=1e-13)


PRIM = jaxce.Prim(4 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [["Sr", "X"], ["O", "Ti", "V"]])
SUPERCELL = jaxce.Supercell(PRIM, (2, 1, 1))


@FEW
@given(data=st.data())
def test_trajectories(data):
    frames = data.draw(st.integers(1, 4))
    codes = [st.integers(0, len(names) - 1) for names in SUPERCELL.species]
    occupancies = np.array([data.draw(st.tuples(*codes)) for _ in range(frames)], dtype=np.int8)
    energies = np.array(data.draw(st.lists(st.floats(-1e6, 1e6), min_size=frames, max_size=frames)))
    write = lambda path: write_trajectory(path, SUPERCELL, occupancies, energies, keep_vacancies=True)
    loaded = in_file("run.extxyz", write, lambda path: ase.io.read(path, ":"))
    found = [jaxce.occupancy_from_ase(SUPERCELL, atoms) for atoms in loaded]
    np.testing.assert_array_equal(found, occupancies)
    # Eight digits of an energy are in the file.
    assert all(math.isclose(a.get_potential_energy(), e, rel_tol=1e-7) for a, e in zip(loaded, energies, strict=True))


@FEW
@given(numbers=st.lists(FINITE, min_size=1, max_size=5), source=st.dictionaries(TEXTS, JSON, max_size=2))
def test_linear_models(numbers, source):
    model = LinearModel(coefficients=np.array(numbers), intercept=numbers[0], source=source)
    loaded = in_file("m.json", lambda path: write_linear_model(path, model), read_linear_model)
    assert isinstance(loaded, LinearModel)
    np.testing.assert_array_equal(loaded.coefficients, model.coefficients)
    assert (loaded.intercept, loaded.source) == (model.intercept, model.source)
    scaler = FeatureScaler(mean=np.array(numbers), scale=np.array([number or 1.0 for number in numbers]))
    again = in_file("s.json", lambda path: write_linear_model(path, scaler), read_linear_model)
    assert isinstance(again, FeatureScaler)
    np.testing.assert_array_equal([again.mean, again.scale], [scaler.mean, scaler.scale])
