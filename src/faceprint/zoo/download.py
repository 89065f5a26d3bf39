"""Download one file: ask the mirror, then each address, until one has the right bytes."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from faceprint import settings
from faceprint._files import sync_folder
from faceprint.errors import ChecksumError, DownloadError, ModelMissingError
from faceprint.zoo.download_retries import TransferError, download_with_retries
from faceprint.zoo.locks import exclusive

__all__ = [
    "DownloadRequest",
    "cache_errors",
    "cache_lock",
    "check_disk_space",
    "copy_in",
    "fetch",
    "install",
    "instructions",
    "matches",
]

_LOG = logging.getLogger("faceprint.zoo")
_DISK_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


@dataclass(frozen=True, slots=True)
class DownloadRequest:
    """A file to download.

    Attributes:
        name: what a mirror is asked for.
        sha256, size: expected; None if unknown.
        urls: addresses, tried in turn.
        target: where to put it.
    """

    name: str
    sha256: str | None
    size: int | None
    urls: tuple[str, ...]
    target: Path


@contextmanager
def cache_lock(target: Path) -> Iterator[None]:
    """Lock a file of the cache against other processes.

    Raises:
        DownloadError: the cache folder can't be written.
    """
    with ExitStack() as stack:
        with cache_errors(target):
            lock = target.with_name(f".{target.name}.lock")
            stack.enter_context(exclusive(lock, what=target.name))
        yield


def fetch(request: DownloadRequest, *, progress: bool = True) -> Path:
    """Download a file into its folder, check it, and move it into place.

    Raises:
        ModelMissingError: offline, and no mirror folder has it; says what to copy where.
        ChecksumError: every address that answered had other bytes.
        DownloadError: every address failed, the disk is full, or the cache can't be written.
    """
    failures: list[str] = []
    wrong = 0
    for source in _sources(request):
        try:
            if isinstance(source, Path):
                copy_in(source, request)
            else:
                _download(source, request, progress=progress)
        except (TransferError, ChecksumError) as error:
            wrong += isinstance(error, ChecksumError)
            failures.append(f"{source}: {error}")
        else:
            # Where all of them fail, the error names them instead.
            for failure in failures:
                _LOG.warning("%s", failure)
            return request.target
    if settings.offline():
        raise ModelMissingError(_offline_message(request, failures))
    where = "\n".join(f"  {failure}" for failure in failures) or "  its card names no address"
    message = f"{request.name} could not be fetched:\n{where}\n{instructions(request)}"
    raise (ChecksumError if failures and wrong == len(failures) else DownloadError)(message)


def copy_in(source: Path, request: DownloadRequest) -> None:
    """Copy a local file into the store and check it.

    Raises:
        ChecksumError: other bytes than expected.
        TransferError: the file can't be read.
        DownloadError: the disk is full, or the cache can't be written.
    """
    part = _partial_path(request)
    try:
        with source.open("rb") as incoming, cache_errors(request.target):
            part.parent.mkdir(parents=True, exist_ok=True)
            check_disk_space(part.parent, request.size or source.stat().st_size)
            with part.open("wb") as outgoing:
                shutil.copyfileobj(incoming, outgoing, 1 << 20)
        install(part, request)
    except OSError as error:
        if isinstance(error, DownloadError):
            raise
        raise TransferError(error.strerror or str(error)) from error
    finally:
        _discard(part)


def matches(path: Path, request: DownloadRequest) -> bool:
    """Whether a file exists and has the expected sha256."""
    if request.sha256 is None or not path.is_file():
        return False
    try:
        _check(path, request)
    except ChecksumError:
        return False
    return True


def install(part: Path, request: DownloadRequest) -> None:
    """Check a finished temporary file, make it durable and move it into place.

    Raises:
        ChecksumError: other size or sha256 than expected; the temporary file is removed.
        DownloadError: the cache can't be written.
    """
    try:
        _check(part, request)
    except ChecksumError:
        _discard(part)
        raise
    with cache_errors(request.target):
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(request.target)
        sync_folder(request.target.parent)
    _discard(part)


def check_disk_space(folder: Path, size: int) -> None:
    """Refuse a file that the disk has no room for.

    Raises:
        DownloadError: too little room.
    """
    free = shutil.disk_usage(folder).free
    if free < size:
        raise DownloadError(
            f"the disk of {folder} is full: {size} bytes are needed and {free} are free; "
            "make room, or set FACEPRINT_HOME to a folder on another disk"
        )


@contextmanager
def cache_errors(target: Path) -> Iterator[None]:
    """Explain an error of the system on writing a file of the cache."""
    try:
        yield
    except DownloadError:
        raise
    except OSError as error:
        folder = target.parent
        if error.errno in _DISK_FULL:
            message = (
                f"the disk of {folder} is full ({error.strerror}); make room, or set "
                "FACEPRINT_HOME to a folder on another disk"
            )
        elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            message = (
                f"the cache folder {folder} cannot be written ({error.strerror}); set "
                "FACEPRINT_HOME to a folder that can"
            )
        else:
            message = f"{folder} cannot be used as the cache: {error}"
        raise DownloadError(message) from error


def instructions(request: DownloadRequest) -> str:
    """Say which file to copy where, for a person without a network."""
    facts = [f"sha256 {request.sha256}" if request.sha256 else "sha256 unknown"]
    if request.size:
        facts.insert(0, f"{request.size} bytes")
    return (
        f"By hand: copy {request.name} ({', '.join(facts)}) to {request.target}, "
        "or into a folder that FACEPRINT_MIRROR names."
    )


def _sources(request: DownloadRequest) -> Iterator[str | Path]:
    mirror = settings.mirror()
    if mirror is not None:
        if not mirror.startswith(("http://", "https://")):
            path = settings.expanded(mirror) / request.name
            if path.is_file():
                yield path
            else:
                _LOG.info("the mirror %s has no %s", mirror, request.name)
        elif not settings.offline():
            yield f"{mirror.rstrip('/')}/{urllib.parse.quote(request.name)}"
    if not settings.offline():
        yield from request.urls


def _download(url: str, request: DownloadRequest, *, progress: bool) -> None:
    part = _partial_path(request)

    def transfer() -> None:
        with cache_errors(request.target):
            download_with_retries(
                url,
                part,
                size=request.size,
                pinned=request.sha256 is not None,
                title=request.name if progress else None,
            )
        install(part, request)

    with cache_errors(request.target):
        part.parent.mkdir(parents=True, exist_ok=True)
        check_disk_space(part.parent, request.size or 0)
    resumed = part.exists() and part.stat().st_size > 0
    try:
        try:
            transfer()
        except ChecksumError:
            if not resumed:
                raise
            transfer()  # the beginning may have been another file's: once more from zero
    except TransferError:
        raise  # what arrived is kept for the next attempt
    except DownloadError:
        _discard(part)
        raise


def _partial_path(request: DownloadRequest) -> Path:
    """Return the temporary file, in the target's folder so that the last step is a rename."""
    tag = (request.sha256 or "unpinned")[:12]
    return request.target.with_name(f".{request.target.name}.{tag}.part")


def _check(path: Path, request: DownloadRequest) -> None:
    size = path.stat().st_size
    if request.size is not None and size != request.size:
        raise ChecksumError(f"{size} bytes instead of {request.size}")
    if request.sha256 is not None:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != request.sha256:
            raise ChecksumError(f"sha256 {found} instead of {request.sha256}")


def _discard(part: Path) -> None:
    for path in (part, part.with_name(f"{part.name}.etag")):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _offline_message(request: DownloadRequest, failures: list[str]) -> str:
    lines = [f"{request.name} is not on this machine, and FACEPRINT_OFFLINE forbids the network."]
    if failures:
        lines += ["Tried:", *(f"  {failure}" for failure in failures)]
    lines.append(instructions(request))
    if request.urls:
        lines.append(f"Its addresses: {', '.join(request.urls)}")
    return "\n".join(lines)
