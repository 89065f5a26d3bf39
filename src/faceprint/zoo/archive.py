"""Models inside zip archives: download the archive, check it, and unpack single members."""

from __future__ import annotations

import logging
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from faceprint import settings
from faceprint.errors import (
    ChecksumError,
    DownloadError,
    ModelError,
    ModelMissingError,
)
from faceprint.zoo.card import ArchiveMember, ModelFile
from faceprint.zoo.catalog import valid_cards
from faceprint.zoo.download import (
    DownloadRequest,
    cache_errors,
    cache_lock,
    check_disk_space,
    fetch,
    install,
    instructions,
    matches,
)

__all__ = ["fetch_member"]

_LOG = logging.getLogger("faceprint.zoo")
_SIZE_LIMIT = 2 << 30
"""Most bytes of an unpacked member."""

_RATIO = 100
"""Most unpacked bytes per packed byte; weights hardly compress, and zip bombs reach 1,000."""

_ENTRIES = 10_000
_DRIVE = re.compile(r"^[A-Za-z]:")


def fetch_member(request: DownloadRequest, file: ModelFile, *, progress: bool = True) -> None:
    """Download a member of an archive into the store.

    The mirror is asked for the file itself first. Members that other cards need are unpacked too,
    so that the archive of a pack is downloaded once; then it is removed.

    Raises:
        ModelMissingError: offline, and the mirror has neither the file nor the archive.
        ChecksumError, DownloadError: as `download.fetch`; or the archive can't be unpacked.
    """
    archive = file.archive
    if archive is None:
        raise ValueError(f"{file.name} comes in no archive")
    if settings.mirror() is not None:
        try:
            fetch(request, progress=progress)
        except (ModelMissingError, ChecksumError) as error:
            _LOG.info("the mirror does not have %s itself: %s", request.name, error)
        else:
            return
    target = request.target.with_name(archive.name)
    whole = DownloadRequest(archive.name, archive.sha256, archive.size, file.urls, target)
    with cache_lock(target):
        if matches(request.target, request):  # another process has unpacked it in the meantime
            return
        try:
            if not matches(target, whole):
                fetch(whole, progress=progress)
            _extract(target, archive, request)
            _extract_others(target, archive)
        except ModelMissingError as error:
            raise type(error)(
                f"{request.name} is the member {archive.member} of {archive.name}; either will "
                f"do.\n{instructions(request)}\n{error}"
            ) from error
        finally:
            with suppress(OSError):
                target.unlink()


def _extract(path: Path, archive: ArchiveMember, request: DownloadRequest) -> None:
    """Unpack one member into the store and check it like any other file.

    Raises:
        ChecksumError: the member is not the expected file.
        DownloadError: not a zip archive, no such member, a bomb, or the disk is full.
    """
    part = request.target.with_name(f".{request.target.name}.unzip.part")
    try:
        with zipfile.ZipFile(path) as packed, cache_errors(request.target):
            _check_paths(packed)
            entry = _find_entry(packed, archive)
            _check_entry(entry, archive, request)
            check_disk_space(part.parent, entry.file_size)
            with packed.open(entry) as incoming, part.open("wb") as outgoing:
                for piece in _pieces(incoming, entry.file_size):
                    outgoing.write(piece)
        install(part, request)
    except ModelError:
        raise  # is a RuntimeError too, with the better message
    except (
        zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError
    ) as error:  # fmt: skip
        raise DownloadError(f"{archive.name} is not a zip archive to read ({error})") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _extract_others(path: Path, archive: ArchiveMember) -> None:
    """Unpack the members of the archive that other cards name."""
    for file in (file for card in valid_cards() for file in card.files):
        other, target = file.archive, path.with_name(file.name)
        if other is None or (other.name, other.sha256) != (archive.name, archive.sha256):
            continue
        if file.sha256 is None or target.exists():
            continue
        try:
            request = DownloadRequest(file.name, file.sha256, file.size, (), target)
            _extract(path, other, request)
        except (ChecksumError, DownloadError) as error:
            _LOG.info("%s was not unpacked from %s: %s", file.name, archive.name, error)


def _check_paths(packed: zipfile.ZipFile) -> None:
    """Refuse an archive with too many entries, or with any path out of its folder."""
    entries = packed.infolist()
    if len(entries) > _ENTRIES:
        raise DownloadError(f"the archive has {len(entries)} entries; refused")
    for entry in entries:
        # The name as stored: zipfile cuts `filename` at a NUL.
        name = entry.orig_filename.replace("\\", "/")
        if name.startswith("/") or _DRIVE.match(name) or ".." in name.split("/") or "\0" in name:
            raise DownloadError(
                f"the archive holds a path that leads out of its folder ({name!r}); refused"
            )


def _find_entry(packed: zipfile.ZipFile, archive: ArchiveMember) -> zipfile.ZipInfo:
    try:
        return packed.getinfo(archive.member)
    except KeyError as error:
        inside = ", ".join(sorted(packed.namelist())[:12])
        raise DownloadError(
            f"{archive.name} has no member {archive.member}; it has {inside}"
        ) from error


def _check_entry(entry: zipfile.ZipInfo, archive: ArchiveMember, request: DownloadRequest) -> None:
    if entry.is_dir():
        raise DownloadError(f"{archive.name}: {archive.member} is a folder")
    if request.size is not None and entry.file_size != request.size:
        raise ChecksumError(
            f"{archive.member} in {archive.name} has {entry.file_size} bytes instead of "
            f"{request.size}"
        )
    if entry.file_size > _SIZE_LIMIT or entry.file_size > _RATIO * max(entry.compress_size, 1):
        raise DownloadError(
            f"{archive.name}: {archive.member} would unpack from {entry.compress_size} to "
            f"{entry.file_size} bytes; refused"
        )


def _pieces(stream: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the member's bytes, and no more than its header promises."""
    left = size
    while piece := stream.read(1 << 20):
        left -= len(piece)
        if left < 0:
            raise DownloadError("a member of the archive is longer than its header says; refused")
        yield piece
