"""Damaged and hostile `.ce` files."""

import gzip
import io
import json
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

import jaxce
from icet_files import ATOMS, DATA, MODEL, SPACE, ce_bytes, tar
from jaxce.io.icet.archive import read_archive
from jaxce.io.icet.restricted_pickle import read_pickle


class Caller:
    """Pickles to a call of anything."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


class Own:
    """Pickles to an object of a class that is not NumPy's."""


def read_bytes(folder, content):
    path = folder / "model.ce"
    path.write_bytes(content)
    return read_archive(path)


def member(name, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


def parts():
    """Members of a good file."""
    with tarfile.open(fileobj=io.BytesIO(ce_bytes())) as archive:
        files = [(member.name, archive.extractfile(member)) for member in archive.getmembers()]
        return [(name, file.read()) for name, file in files if file]


def test_nothing_is_called(tmp_path):
    witness = tmp_path / "called"
    hostile = {**MODEL, "metadata": Caller(os.system, f"touch {witness}")}
    path = tmp_path / "model.ce"
    path.write_bytes(ce_bytes(model=hostile))
    with pytest.raises(ValueError, match=r"asks for (posix|nt)\.system.*Nothing of it was run"):
        jaxce.io.read_icet(path)
    assert not witness.exists()
    pickle.loads(pickle.dumps(hostile))
    assert witness.exists(), "the file would do no harm, so this test shows nothing"


FORBIDDEN = {
    "eval": Caller(eval, "1"),
    "getattr": Caller(getattr, "", "upper"),
    "memory": Caller(bytearray, 10**15),
    "long_range": Caller(range, 10**15),
    "numpy_load": Caller(np.load, "x.npy"),
    "numpy_zeros": Caller(np.zeros, 10**15),
    "empty_array": Caller(np.ndarray, (10**9, 10**9)),
    "own_class": Own(),
    "object_array": np.array([{}, None], dtype=object),
    "structured_array": np.zeros(2, dtype=[("a", "f8")]),
    "nested_key": {((1, 2), 3): 4},
}


@pytest.mark.parametrize("name", FORBIDDEN)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_what_is_no_plain_value_is_refused(name, protocol):
    with pytest.raises(ValueError, match=r"refused|damaged"):
        read_pickle(pickle.dumps([FORBIDDEN[name]], protocol), "file")


class Built:
    """Pickles to an array with any state."""

    def __init__(self, state):
        self.reduced = np.zeros(1).__reduce__()[0], (np.ndarray, (0,), b"b"), state

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("shape", [(10**15,), (2**40, 2**40), (-1,), (3.5,), (1,) * 40])
def test_arrays_of_another_size_than_their_bytes_are_refused(shape):
    content = pickle.dumps(Built((1, shape, np.dtype("f8"), False, bytes(16))), 4)
    with pytest.raises(ValueError, match="of the shape"):
        read_pickle(content, "file")


PLAIN = {
    "numbers": [1, -(2**70), 2.5, True, None, 3j],
    "texts": ["é", b"bytes", b""],
    "containers": {"a": (1, (2, 3)), "b": {1, 2}, "c": frozenset("x"), "d": []},
    "arrays": [np.arange(6.0).reshape(2, 3), np.array(["Cu", "X"]), np.array(3), np.zeros((0, 2)), np.arange(3) > 1],
    "fortran": [np.asfortranarray(np.arange(6).reshape(2, 3)), np.arange(4, dtype=">i2")],
    "scalars": [np.float64(0.1), np.int32(4), np.bool_(True), np.str_("Au")],
    "range": range(2, 5),
}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_values_are_read_as_pickle_reads_them(name, protocol):
    content = pickle.dumps(PLAIN[name], protocol)
    found, wanted = read_pickle(content, "file"), pickle.loads(content)
    np.testing.assert_equal(found, [2, 3, 4] if name == "range" else wanted)


def test_an_array_that_occurs_twice_is_read_twice():
    array = np.arange(3.0)
    for found in read_pickle(pickle.dumps([array, array], 4), "file"):
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("length", range(0, 150, 7))
def test_pickles_that_are_cut_off_are_refused(length):
    content = pickle.dumps(MODEL, 4)
    with pytest.raises(ValueError, match="damaged or cut off"):
        read_pickle(content[: len(content) * length // 150], "file")


def test_records_of_libraries_around_icet_leave_their_plain_values():
    # Settings that ruamel.yaml read, whose numbers and lists remember how they were written, and a fit of trainstation.
    content = (DATA / "icet_models" / "records.pkl").read_bytes()
    assert b"ScalarFloat" in content
    assert b"ScatterData" in content
    found = read_pickle(content, "file")
    assert found["settings"] == {"cutoffs": [6.0, 4.5], "symbols": [["Sr", "La"], ["Ti", "Fe"]], "count": 16}
    assert found["fit"]["scatter_data_train"] is None
    np.testing.assert_allclose(found["fit"]["parameters"], [1, 2, 3])


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04r\xff\xff\xff\x7f.",  # memo entry 2**31 of an empty stack
        b"\x80\x04]r\xff\xff\xff\x7f0.",  # the stack is empty at the end
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x00.",  # 2**56 bytes
        b"\x80\x04K\x01K\x02R.",  # a number is called
        b"cos\nsystem\n(S'true'\ntR.",
        b"(S'true'\nios\nsystem\n.",
        b"\x80\x04\x82\x01.",  # a name by its number in a registry
        b"Pname\n.",
        b"",
    ],
    ids=["memo", "stack", "length", "number", "global", "inst", "extension", "persistent", "empty"],
)
def test_odd_instructions_are_refused(content):
    with pytest.raises(ValueError, match=r"file is (refused|damaged)"):
        read_pickle(content, "file")


def test_doubling_lists_take_neither_time_nor_memory(tmp_path):
    value = ["Cu"]
    for _ in range(100):
        value = [value, value]
    with pytest.raises(ValueError, match="`chemical_symbols` should be"):
        read_bytes(tmp_path, ce_bytes(space={**SPACE, "chemical_symbols": value}))


def test_every_truncation_of_a_file_is_refused(tmp_path):
    content = ce_bytes()
    end = len(content.rstrip(b"\0"))
    for length in [0, 100, 511, 512, 700, *range(1024, end, 997)]:
        with pytest.raises(ValueError, match="cut off"):
            read_bytes(tmp_path, content[:length])


def test_a_member_of_another_size_than_it_says_is_refused(tmp_path):
    good = parts()
    content = bytearray(tar(good))
    # The size in the first header; it has a checksum, which must fit for the size to count.
    content[124:136] = b"%011o\0" % 8**10
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    with pytest.raises(ValueError, match="cut off"):
        read_bytes(tmp_path, bytes(content))


def test_compressed_files_are_not_unpacked(tmp_path):
    with pytest.raises(ValueError, match="no uncompressed tar"):
        read_bytes(tmp_path, gzip.compress(ce_bytes()))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("items", b"")
    with pytest.raises(ValueError, match="no uncompressed tar"):
        read_bytes(tmp_path, packed.getvalue())


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ((member("items", tarfile.SYMTYPE), b""), "link, folder or device"),
        ((member("folder", tarfile.DIRTYPE), b""), "link, folder or device"),
        ((member("items2", tarfile.LNKTYPE), b""), "link, folder or device"),
        (("../../etc/cron.d/x", b"x"), "nothing else"),
        (("items", b"x"), "once each"),
        (("more", b"x"), "nothing else"),
    ],
    ids=["symlink", "folder", "hard_link", "traversal", "twice", "unknown"],
)
def test_members_beside_those_of_icet_are_refused(tmp_path, extra, message):
    with pytest.raises(ValueError, match=message):
        read_bytes(tmp_path, tar([*parts(), extra]))


@pytest.mark.parametrize("missing", ["items", "cluster_space"])
def test_a_missing_member_is_named(tmp_path, missing):
    with pytest.raises(ValueError, match=f"lacks \\['{missing}'\\]"):
        read_bytes(tmp_path, tar([part for part in parts() if part[0] != missing]))


def test_other_files_of_icet_are_recognised(tmp_path):
    with pytest.raises(ValueError, match=r"looks like a cluster space \(\.cs\)"):
        read_bytes(tmp_path, dict(parts())["cluster_space"])
    with pytest.raises(ValueError, match=r"looks like a structure container \(\.sc\)"):
        read_bytes(tmp_path, tar([("database", b""), parts()[0]]))


def test_a_file_of_another_size_is_not_read(tmp_path):
    path = tmp_path / "model.ce"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match="larger than"):
        read_archive(path)


def test_a_good_file_is_read(tmp_path):
    stored = read_bytes(tmp_path, ce_bytes())
    assert (stored.cutoffs, stored.species, stored.version) == ((3.0,), ["Cu", "Au"], "4.0")
    assert json.loads(stored.structure) == ATOMS
