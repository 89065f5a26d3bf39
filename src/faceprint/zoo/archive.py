"""Models that come inside a zip archive: fetched, distrusted, and one member taken out."""

from __future__ import annotations

import logging
import re
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from faceprint import settings
from faceprint.errors import (
    CardError,
    ChecksumError,
    DownloadError,
    ModelError,
    ModelMissingError,
)
from faceprint.zoo.card import ArchiveMember, ModelFile
from faceprint.zoo.download import (
    DownloadRequest,
    by_hand,
    cache_lock,
    check_room,
    commit,
    fetch,
    matches,
)
from faceprint.zoo.transfer import DISK_FULL

__all__ = ["check_archive", "extract", "fetch_member"]

_LOG = logging.getLogger("faceprint.zoo")
_LIMIT = 2 << 30
"""Bytes that a member of unknown size may unpack to."""

_RATIO = 100
"""Unpacked to packed; weights hardly compress, and deflate's bombs reach 1,000."""

_ENTRIES = 10_000
_DRIVE = re.compile(r"^[A-Za-z]:")


def fetch_member(wanted: DownloadRequest, file: ModelFile, *, progress: bool = True) -> None:
    """Bring a member of an archive into the store.

    The mirror is asked for the file itself first. Other packaged models of the same archive are
    unpacked along the way, so that a pack's archive is fetched once; then it is removed.

    Raises:
        ModelMissingError: offline, and the mirror holds neither the file nor the archive.
        ChecksumError, DownloadError: as `download.fetch`; or the archive is not one to unpack.
    """
    archive = file.archive
    if archive is None:
        raise ValueError(f"{file.name} comes in no archive")
    if settings.mirror() is not None:
        try:
            fetch(wanted, progress=progress)
        except (ModelMissingError, ChecksumError) as error:
            _LOG.info("%s is not in the mirror itself: %s", wanted.name, error)
        else:
            return
    target = wanted.target.with_name(archive.name)
    box = DownloadRequest(archive.name, archive.sha256, archive.size, file.urls, target)
    with cache_lock(target):
        if matches(wanted.target, wanted):  # another process has unpacked it in the meantime
            return
        try:
            if not matches(target, box):
                fetch(box, progress=progress)
            extract(target, archive, wanted)
            _take_siblings(target, archive, wanted)
        except ModelMissingError as error:
            hint = (
                f"{wanted.name} is the member {archive.member} of {archive.name}; either will do.\n"
                f"{by_hand(wanted)}"
            )
            raise type(error)(f"{hint}\n{error}") from error
        finally:
            with suppress(OSError):
                target.unlink()


def check_archive(box: zipfile.ZipFile) -> None:
    """Refuse an archive that tries to reach outside its folder, whichever member does.

    Raises:
        DownloadError: a path that climbs out, or more entries than a model pack has.
    """
    entries = box.infolist()
    if len(entries) > _ENTRIES:
        raise DownloadError(f"the archive has {len(entries)} entries; refused")
    for entry in entries:
        # The name as it stands in the archive: zipfile itself has already cut it at a NUL.
        name = entry.orig_filename.replace("\\", "/")
        if name.startswith("/") or _DRIVE.match(name) or ".." in name.split("/") or "\0" in name:
            raise DownloadError(
                f"the archive holds a path that leads out of its folder ({name!r}); refused"
            )


def extract(path: Path, archive: ArchiveMember, wanted: DownloadRequest) -> None:
    """Unpack one member into the store, checked like any other file.

    Raises:
        ChecksumError: the member is not the file that is wanted.
        DownloadError: not a zip archive, no such member, a bomb, or the disk is full.
    """
    part = wanted.target.with_name(f".{wanted.target.name}.unzip.part")
    try:
        with zipfile.ZipFile(path) as box:
            check_archive(box)
            entry = _entry(box, archive)
            _check_entry(entry, archive, wanted)
            check_room(part.parent, entry.file_size)
            with box.open(entry) as incoming, part.open("wb") as outgoing:
                for piece in _pieces(incoming, entry.file_size):
                    outgoing.write(piece)
        commit(part, wanted)
    except ModelError:
        raise  # a RuntimeError too, and with the better words
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise DownloadError(f"{archive.name} is not a zip archive to read ({error})") from error
    except OSError as error:
        full = "the disk is full" if error.errno in DISK_FULL else "it cannot be unpacked"
        raise DownloadError(f"{archive.name}: {full} ({error})") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _entry(box: zipfile.ZipFile, archive: ArchiveMember) -> zipfile.ZipInfo:
    try:
        return box.getinfo(archive.member)
    except KeyError as error:
        inside = ", ".join(sorted(box.namelist())[:12])
        raise DownloadError(
            f"{archive.name} has no member {archive.member}; it has {inside}"
        ) from error


def _check_entry(entry: zipfile.ZipInfo, archive: ArchiveMember, wanted: DownloadRequest) -> None:
    if entry.is_dir():
        raise DownloadError(f"{archive.name}: {archive.member} is a folder")
    if wanted.size is not None and entry.file_size != wanted.size:
        raise ChecksumError(
            f"{archive.member} in {archive.name} has {entry.file_size} bytes instead of "
            f"{wanted.size}"
        )
    if entry.file_size > _LIMIT or entry.file_size > _RATIO * max(entry.compress_size, 1):
        raise DownloadError(
            f"{archive.name}: {archive.member} would unpack from {entry.compress_size} to "
            f"{entry.file_size} bytes; refused"
        )


def _pieces(stream: IO[bytes], size: int) -> Iterator[bytes]:
    """The member's bytes, and no more than its header promises."""
    left = size
    while piece := stream.read(1 << 20):
        left -= len(piece)
        if left < 0:
            raise DownloadError("a member of the archive is longer than its header says; refused")
        yield piece


def _take_siblings(path: Path, archive: ArchiveMember, wanted: DownloadRequest) -> None:
    from faceprint.zoo.catalog import card_ids, get_card

    for card_id in card_ids():
        try:
            files = get_card(card_id).files
        except CardError:
            continue
        for file in files:
            other = file.archive
            if other is None or other.sha256 != archive.sha256 or other.name != archive.name:
                continue
            target = wanted.target.with_name(file.name)
            if file.sha256 is None or target.exists():
                continue
            try:
                extract(path, other, DownloadRequest(file.name, file.sha256, file.size, (), target))
            except (ChecksumError, DownloadError) as error:
                _LOG.info("%s was not unpacked along the way: %s", file.name, error)
