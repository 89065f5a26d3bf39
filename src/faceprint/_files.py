"""Write files atomically and durably, read bounded files, and find files by stored names."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

__all__ = [
    "atomic_write",
    "file_of",
    "is_gone",
    "read_bounded",
    "read_start",
    "refuse_pipes",
    "replacing",
    "sync_file",
    "sync_folder",
]

_OPEN = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")

_KEPT_NAME = 120
"""Characters of a file's name that its temporary file repeats; a name has at most 255 bytes."""


def atomic_write(
    path: Path,
    content: bytes | str | Callable[[IO[bytes]], object],
    *,
    private: bool = False,
) -> None:
    """Write a file whole or not at all; it is durable when this returns.

    Where the system can, a private file has no name until it is complete, so that a killed process
    leaves no part of it behind.

    Args:
        content: bytes, text (stored as UTF-8), or a function that writes to the open file.
        private: let only the owner read the file, even if others could read the one that it
            replaces. For everything that holds a person's face, embedding or name.

    Raises:
        OSError: the file can't be written; nothing is left behind.
    """
    target = _target(path)
    mode = _mode(target)
    unnamed = _unnamed(target.parent) if private and (mode is None or stat.S_ISREG(mode)) else None
    if unnamed is None:
        with replacing(path, private=private) as temporary, temporary.open("wb") as file:
            _fill(file, content)
        return
    with os.fdopen(unnamed, "w+b") as file:
        _fill(file, content)
        file.flush()
        os.fsync(unnamed)
        _name(unnamed, target)
    sync_folder(target.parent)


def _fill(file: IO[bytes], content: bytes | str | Callable[[IO[bytes]], object]) -> None:
    if isinstance(content, str):
        file.write(content.encode("utf-8", "backslashreplace"))
    elif isinstance(content, bytes):
        file.write(content)
    else:
        content(file)


def _unnamed(folder: Path) -> int | None:
    """The descriptor of a new private file without a name; None where the system can't make one."""
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None or not os.path.isdir("/proc/self/fd"):  # noqa: PTH112 - a constant
        return None
    with contextlib.suppress(OSError):  # unsupported here; other errors come up again
        return os.open(folder, flag | os.O_RDWR, 0o600)
    return None


def _name(unnamed: int, target: Path) -> None:
    """Give a file without a name the name `target`."""
    temporary = _temporary(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        # With a folder's descriptor this is linkat(2), which follows the link to the open file.
        place = f"/proc/self/fd/{unnamed}"
        os.link(place, temporary, src_dir_fd=folder, follow_symlinks=True)
        temporary.replace(target)
    finally:
        os.close(folder)
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Yield a temporary file beside `path`, which replaces it when the block ends without error.

    If `path` is a link, the file that it points to is replaced. A pipe or terminal is yielded
    itself and written to directly.

    Args:
        private: see `atomic_write`.

    Raises:
        OSError: the file can't be written; nothing is left behind.
    """
    target = _target(path)
    mode = _mode(target)
    if mode is not None and not stat.S_ISREG(mode):
        # Opening a folder fails where it is opened.
        yield target
        return
    temporary = _temporary(target)
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    os.close(os.open(temporary, flags, 0o600 if private else 0o666))
    try:
        if mode is not None and not private:
            temporary.chmod(stat.S_IMODE(mode) & 0o777)
        yield temporary
        sync_file(temporary)
        temporary.replace(target)
        sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Make a file's content durable.

    Raises:
        OSError: the disk refuses.
    """
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable where the system can; else a crash may lose new names."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_bounded(path: Path, most: int) -> bytes:
    """The bytes of a file, or of a pipe that this process was given open (`<(...)`, `/dev/stdin`).

    Raises:
        OSError: it can't be read, has more than `most` bytes, or is another pipe or a device.
    """
    refuse_pipes(path)
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"more than {most:,} bytes", str(path))
    return data


def refuse_pipes(path: Path) -> None:
    """Refuse what is neither a file nor a folder: opening a pipe waits until somebody writes to it.

    Pipes that this process was given open are taken.

    Raises:
        OSError: another pipe, a socket or device, or a path that can't be looked at.
    """
    mode = path.stat().st_mode
    if str(path).startswith(_OPEN):
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def read_start(path: Path, count: int) -> bytes:
    """The first bytes of a regular file.

    Raises:
        OSError: it can't be read, or is a folder, pipe or device.
    """
    refuse_pipes(path)
    with path.open("rb") as file:
        return file.read(count)


def file_of(name: str) -> Path:
    """The file whose name was stored as `printable(name)`."""
    path = Path(name)
    if "\\x" not in name or os.name == "nt" or os.path.lexists(path):
        return path
    raw = re.sub(rb"\\x([89a-f][0-9a-f])", lambda m: bytes([int(m[1], 16)]), os.fsencode(name))
    other = Path(os.fsdecode(raw))
    return other if os.path.lexists(other) else path


def is_gone(path: str | os.PathLike[str]) -> bool:
    """Whether nothing of that name exists; False where a folder's permissions hide it."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return True
    except OSError:
        return False
    return False


def _target(path: Path) -> Path:
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _temporary(target: Path) -> Path:
    temporary = target.with_name(f".{target.name[:_KEPT_NAME]}.{secrets.token_hex(6)}.part")
    if len(os.fsencode(temporary.name)) > 255:
        temporary = target.with_name(f".{secrets.token_hex(12)}.part")
    return temporary


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
