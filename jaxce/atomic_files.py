"""Files that are written whole or not at all."""

import contextlib
import os
import pathlib
import secrets
import shutil
from collections.abc import Generator


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Generator[pathlib.Path]:
    """A temporary file beside `path` that takes its place at the end of the block, or goes if the block fails.

    A reader sees the old file or the new one, never a part; so does whoever comes after a crash.
    """
    path = pathlib.Path(path)
    check_file_place(path)
    temporary = _beside(path)
    # Readable for whom the user's umask says, as any file.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def check_file_place(path: str | os.PathLike) -> None:
    """Refuse a place where no file can go; long work should ask before it begins.

    Raises:
        FileNotFoundError: if there is no such folder.
        IsADirectoryError: if there is a folder of this name.
    """
    path = pathlib.Path(path)
    check_parent(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: give the name of a file.")


def check_parent(path: pathlib.Path) -> None:
    """Refuse a file or folder in a folder that does not exist; raises `FileNotFoundError`."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} for {path.name}: make it, or give another name.")


@contextlib.contextmanager
def new_folder(path: str | os.PathLike) -> Generator[pathlib.Path]:
    """A name beside `path` for a folder that the block makes: it becomes `path` at the end, or goes if the block fails.

    Raises:
        FileExistsError: if there is something at `path`.
    """
    path = pathlib.Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists: remove it, or give another name.")
    temporary = _beside(path)
    try:
        yield temporary
        temporary.rename(path)
        _sync(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _beside(path: pathlib.Path) -> pathlib.Path:
    """A hidden name that no file has, with the ending by which libraries choose a format."""
    return path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")


def _sync(path: pathlib.Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
