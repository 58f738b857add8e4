"""The file of a run's samples, written in place."""

import h5py
import numpy as np
import pytest

from jaxce.sampling.sample_file import check_sample_file, write_rows, write_sample_file

DTYPES = {"bool": bool, "int8": np.int8, "int32": np.int32, "float32": np.float32, "complex": np.complex128}


def rows(count, seed):
    rng = np.random.default_rng(seed)
    columns = {"energy": rng.normal(size=(count, 3)), "counts": rng.integers(9, size=(count, 3, 2), dtype=np.int32)}
    for name, dtype in DTYPES.items():
        columns[f"observables/{name}"] = rng.integers(2, size=(count, 3, 5)).astype(dtype)
    return columns


def test_rows_are_where_they_belong_whatever_their_type(tmp_path):
    path, first, second = tmp_path / "samples.h5", rows(4, 0), rows(3, 1)
    write_sample_file(path, first, 10)
    size = path.stat().st_size
    write_rows(path, second, 4)
    assert path.stat().st_size == size
    check_sample_file(path, 10)
    with h5py.File(path) as file:
        for name in first:
            assert (file[name].shape, file[name].dtype) == ((10, *first[name].shape[1:]), first[name].dtype)
            np.testing.assert_array_equal(file[name][:7], np.concatenate([first[name], second[name]]))


def test_columns_need_not_lie_in_one_piece(tmp_path):
    path, columns = tmp_path / "samples.h5", rows(4, 0)
    write_sample_file(path, {name: np.asfortranarray(values) for name, values in columns.items()}, 4)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["counts"][:], columns["counts"])


@pytest.mark.parametrize(
    ("energy", "start"),
    [(np.zeros((2, 4)), 0), (np.zeros((2, 3), np.float32), 0), (np.zeros((2, 3)), 9)],
    ids=["shape", "type", "room"],
)
def test_rows_that_do_not_fit_are_refused(tmp_path, energy, start):
    path = tmp_path / "samples.h5"
    write_sample_file(path, rows(4, 0), 10)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"samples\.h5 has 10 rows of .* for energy"):
        write_rows(path, {"energy": energy}, start)
    assert path.read_bytes() == before
