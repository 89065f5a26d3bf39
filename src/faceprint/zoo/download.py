"""Fetching one file: the mirror first, then each address, until one has the right bytes."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from faceprint import settings
from faceprint._files import sync_folder
from faceprint.errors import ChecksumError, DownloadError, ModelMissingError
from faceprint.zoo.locks import exclusive
from faceprint.zoo.transfer import DISK_FULL, TransferError, http_fetch

__all__ = [
    "DownloadRequest",
    "by_hand",
    "cache_lock",
    "check_room",
    "commit",
    "copy_in",
    "fetch",
    "matches",
]

_LOG = logging.getLogger("faceprint.zoo")


@dataclass(frozen=True, slots=True)
class DownloadRequest:
    """A file to be had.

    Attributes:
        name: what a mirror is asked for.
        sha256, size: what it must be; None where nobody knows.
        urls: addresses, tried in turn.
        target: where it is put.
    """

    name: str
    sha256: str | None
    size: int | None
    urls: tuple[str, ...]
    target: Path


@contextmanager
def cache_lock(target: Path) -> Iterator[None]:
    """Hold a file of the cache for this process alone.

    Raises:
        DownloadError: the cache folder cannot be written.
    """
    lock = exclusive(target.with_name(f".{target.name}.lock"), what=target.name)
    with _cache_errors(target):
        lock.__enter__()
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def fetch(wanted: DownloadRequest, *, progress: bool = True) -> Path:
    """Bring a file into the store: temporary file in its folder, checked, then moved into place.

    Raises:
        ModelMissingError: offline, and no mirror folder holds it; says what to copy where.
        ChecksumError: every address that answered had other bytes.
        DownloadError: every address failed, the disk is full, or the cache cannot be written.
    """
    failures: list[str] = []
    wrong = 0
    for source in _sources(wanted):
        try:
            _from_source(source, wanted, progress=progress)
        except (TransferError, ChecksumError) as error:
            wrong += isinstance(error, ChecksumError)
            failures.append(f"{source}: {error}")
        else:
            # Where all of them fail, the error says so once.
            for failure in failures:
                _LOG.warning("%s", failure)
            return wanted.target
    if settings.offline():
        raise ModelMissingError(_offline_message(wanted, failures))
    where = "\n".join(f"  {failure}" for failure in failures) or "  its card names no address"
    message = f"{wanted.name} could not be fetched:\n{where}\n{by_hand(wanted)}"
    if failures and wrong == len(failures):
        raise ChecksumError(message)
    raise DownloadError(message)


def copy_in(source: Path, wanted: DownloadRequest) -> None:
    """Copy a file of this machine into the store, checked.

    Raises:
        ChecksumError: not the bytes that are wanted.
        TransferError: the file cannot be read.
        DownloadError: the disk is full, or the cache cannot be written.
    """
    part = partial_path(wanted)
    try:
        with source.open("rb") as incoming, _cache_errors(wanted.target):
            part.parent.mkdir(parents=True, exist_ok=True)
            check_room(part.parent, wanted.size or source.stat().st_size)
            with part.open("wb") as outgoing:
                shutil.copyfileobj(incoming, outgoing, 1 << 20)
        commit(part, wanted)
    except OSError as error:
        if isinstance(error, DownloadError):
            raise
        raise TransferError(error.strerror or str(error)) from error
    finally:
        _discard(part)


def matches(path: Path, wanted: DownloadRequest) -> bool:
    """Whether a file is there and is, by its sha256, the one that is wanted."""
    if wanted.sha256 is None or not path.is_file():
        return False
    try:
        _check(path, wanted)
    except ChecksumError:
        return False
    return True


def partial_path(wanted: DownloadRequest) -> Path:
    """Where a file grows: in the target's folder, so that the last step is a rename."""
    tag = (wanted.sha256 or "unpinned")[:12]
    return wanted.target.with_name(f".{wanted.target.name}.{tag}.part")


def commit(part: Path, wanted: DownloadRequest) -> None:
    """Check a finished temporary file, make it durable and move it into place.

    Raises:
        ChecksumError: another size or sha256; the temporary file is removed.
        DownloadError: the cache cannot be written.
    """
    try:
        _check(part, wanted)
    except ChecksumError:
        _discard(part)
        raise
    with _cache_errors(wanted.target):
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(wanted.target)
        sync_folder(wanted.target.parent)
    _discard(part)


def check_room(folder: Path, size: int) -> None:
    """Refuse before the first byte when the disk can't hold the file.

    Raises:
        DownloadError: too little room.
    """
    free = shutil.disk_usage(folder).free
    if free < size:
        raise DownloadError(
            f"the disk of {folder} is full: {size} bytes are needed and {free} are free; "
            "make room, or set FACEPRINT_HOME to a folder on another disk"
        )


def _sources(wanted: DownloadRequest) -> Iterator[str | Path]:
    mirror = settings.mirror()
    if mirror is not None:
        if not mirror.startswith(("http://", "https://")):
            path = settings.expanded(mirror) / wanted.name
            if path.is_file():
                yield path
            else:
                _LOG.info("the mirror %s has no %s", mirror, wanted.name)
        elif not settings.offline():
            yield f"{mirror.rstrip('/')}/{urllib.parse.quote(wanted.name)}"
    if not settings.offline():
        yield from wanted.urls


def _from_source(source: str | Path, wanted: DownloadRequest, *, progress: bool) -> None:
    if isinstance(source, Path):
        copy_in(source, wanted)
        return
    part = partial_path(wanted)
    with _cache_errors(wanted.target):
        part.parent.mkdir(parents=True, exist_ok=True)
        check_room(part.parent, wanted.size or 0)
    resumed = part.exists() and part.stat().st_size > 0
    try:
        _transfer(source, part, wanted, progress=progress)
        if resumed:
            try:
                commit(part, wanted)
            except ChecksumError:
                # What an earlier run left may have been another file's beginning: once from zero.
                _transfer(source, part, wanted, progress=progress)
                commit(part, wanted)
        else:
            commit(part, wanted)
    except DownloadError as error:
        if not isinstance(error, TransferError):
            _discard(part)
        raise


def _transfer(url: str, part: Path, wanted: DownloadRequest, *, progress: bool) -> None:
    with _cache_errors(wanted.target):
        http_fetch(
            url,
            part,
            size=wanted.size,
            pinned=wanted.sha256 is not None,
            title=wanted.name if progress else None,
        )


def _check(part: Path, wanted: DownloadRequest) -> None:
    size = part.stat().st_size
    if wanted.size is not None and size != wanted.size:
        raise ChecksumError(f"{size} bytes instead of {wanted.size}")
    if wanted.sha256 is not None:
        with part.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != wanted.sha256:
            raise ChecksumError(f"sha256 {found} instead of {wanted.sha256}")


@contextmanager
def _cache_errors(target: Path) -> Iterator[None]:
    """Say what the system's refusal to write into the cache means."""
    try:
        yield
    except DownloadError:
        raise
    except OSError as error:
        folder = target.parent
        if error.errno in DISK_FULL:
            raise DownloadError(
                f"the disk of {folder} is full ({error.strerror}); make room, or set "
                "FACEPRINT_HOME to a folder on another disk"
            ) from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise DownloadError(
                f"the cache folder {folder} cannot be written ({error.strerror}); set "
                "FACEPRINT_HOME to a folder that can"
            ) from error
        raise DownloadError(f"{folder} cannot be used as the cache: {error}") from error


def _discard(part: Path) -> None:
    for path in (part, part.with_name(f"{part.name}.etag")):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def by_hand(wanted: DownloadRequest) -> str:
    """What to copy where, for a person without a network."""
    facts = [f"sha256 {wanted.sha256}" if wanted.sha256 else "sha256 not known"]
    if wanted.size:
        facts.insert(0, f"{wanted.size} bytes")
    return (
        f"By hand: copy {wanted.name} ({', '.join(facts)}) to {wanted.target}, "
        "or into a folder that FACEPRINT_MIRROR names."
    )


def _offline_message(wanted: DownloadRequest, failures: list[str]) -> str:
    lines = [f"{wanted.name} is not on this machine, and FACEPRINT_OFFLINE forbids the network."]
    if failures:
        lines += ["Tried:", *(f"  {failure}" for failure in failures)]
    lines.append(by_hand(wanted))
    if wanted.urls:
        lines.append(f"Its addresses: {', '.join(wanted.urls)}")
    return "\n".join(lines)
