"""Files whole or not at all: what a failure leaves, and who may read what was written."""

import os
import stat

import pytest

from jaxce.atomic_files import new_folder, replacing, write_text


class Stop(BaseException):
    pass


def test_a_file_is_replaced_at_the_end_of_the_block_only(tmp_path):
    path = tmp_path / "model.json"
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"
        assert temporary.suffix == ".json"
    assert path.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [path]


def write_a_part(path):
    with replacing(path) as temporary:
        temporary.write_text("part", encoding="utf-8")
        raise Stop


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "model.json"
    write_text(path, "old")
    with pytest.raises(Stop):
        write_a_part(path)
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(OSError, match="full"):
        write_text(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def _full(descriptor):
    raise OSError(28, "the disk is full")


def make_folder(path, error=None):
    with new_folder(path) as temporary:
        temporary.mkdir()
        (temporary / "all").touch()
        assert not path.exists()
        if error is not None:
            raise error


def test_a_folder_appears_whole(tmp_path):
    path = tmp_path / "samples.zarr"
    with pytest.raises(Stop):
        make_folder(path, Stop())
    assert list(tmp_path.iterdir()) == []
    make_folder(path)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileExistsError, match="exists: remove it"):
        make_folder(path)


@pytest.mark.skipif(os.name != "posix", reason="umask is of POSIX")
def test_the_users_umask_says_who_may_read(tmp_path):
    """Fault: what was private before can be read by all."""
    modes = []
    for mask in (0o077, 0o022):
        before = os.umask(mask)
        try:
            write_text(tmp_path / "a", "text")
        finally:
            os.umask(before)
        modes.append(stat.S_IMODE((tmp_path / "a").stat().st_mode))
    assert modes == [0o600, 0o644]


def test_a_place_where_no_file_can_go_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*none for model\.json: make it"):
        write_text(tmp_path / "none" / "model.json", "new")
    with pytest.raises(IsADirectoryError, match="is a folder: give the name of a file"):
        write_text(tmp_path, "new")
    assert list(tmp_path.iterdir()) == []
