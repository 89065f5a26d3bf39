"""The files of model cards on this machine: checked, and downloaded when missing or damaged.

They are kept in `FACEPRINT_HOME/models`. Size and sha256 are compared with the card each time a
model is opened, so a damaged file is never loaded.
"""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from faceprint import settings
from faceprint._external import refuse_outside
from faceprint._files import atomic_write
from faceprint.errors import ChecksumError, ModelMissingError
from faceprint.zoo import licenses
from faceprint.zoo.card import ModelCard, ModelFile

__all__ = [
    "FileState",
    "adopt",
    "ensure",
    "fetch_file",
    "file_sha256",
    "is_ready",
    "local_path",
    "models_folder",
    "verify",
]

_LOG = logging.getLogger("faceprint.zoo")
_WEIGHTS = Path(__file__).with_name("weights")


@dataclass(frozen=True, slots=True)
class FileState:
    """The state of one file.

    Attributes:
        state: `ok`, `missing`, `corrupt`, or `unpinned` (present, but no sha256 is known).
        detail: what is wrong; empty for `ok`.
    """

    role: str
    name: str
    path: Path | None
    state: Literal["ok", "missing", "corrupt", "unpinned"]
    detail: str = ""


def models_folder() -> Path:
    """Return the folder of downloaded models."""
    return settings.home() / "models"


def local_path(file: ModelFile) -> Path | None:
    """Return the file's path, unchecked; None if it is not on this machine."""
    path = _place(file)
    return path if path.is_file() else None


def ensure(
    card: ModelCard,
    *,
    accept_license: bool = False,
    allow_unpinned: bool = False,
    progress: bool = True,
) -> dict[str, Path]:
    """Return the verified files of a card by role; download those missing or damaged.

    Args:
        card: the model.
        accept_license: accept a non-commercial or unclear license.
        allow_unpinned: download files whose sha256 is unknown. The downloaded file's own sha256 is
            recorded and checked from then on.
        progress: show a bar on stderr, where that is a terminal.

    Raises:
        LicenseNotAcceptedError: the license has not been accepted.
        ChecksumError: a packaged file is damaged, or a downloaded file is not the card's.
        DownloadError: every address failed, or the cache can't be written.
        ModelMissingError: offline and not in the mirror, or unpinned and not allowed.
        CardError: the graph's external data points outside its folder.
    """
    if not all(file.bundled for file in card.files):
        licenses.require(card, accept=accept_license)
    paths = {}
    for file in card.files:
        path = _verified_path(file)
        if path is None and not _pinned(file):
            if not allow_unpinned:
                raise ModelMissingError(
                    f"{card.id} is unpinned: the sha256 of {file.name} is unknown; "
                    f"`faceprint models pull {card.id} --allow-unpinned` downloads it anyway"
                )
            path = _adopt_unpinned(file)
        paths[file.role] = path or fetch_file(file, progress=progress)
    for path in paths.values():
        _refuse_outside(path)
    return paths


def is_ready(card: ModelCard) -> bool:
    """Whether every file is on this machine; only sizes are compared."""
    for file in card.files:
        path = local_path(file)
        if path is None or (file.size is not None and path.stat().st_size != file.size):
            return False
    return True


def verify(card: ModelCard) -> tuple[FileState, ...]:
    """Read and check every file of a card; nothing is downloaded or changed."""
    return tuple(_state(file) for file in card.files)


def adopt(card: ModelCard, folder: Path) -> tuple[Path, ...]:
    """Copy the files of a card from a folder into the store.

    Returns:
        The new paths in the store.

    Raises:
        ChecksumError: a file of the folder is not the card's.
        DownloadError: the store can't be written.
    """
    from faceprint.zoo.download import DownloadRequest, copy_in

    copied = []
    for file in card.files:
        source = folder / file.name
        if not file.bundled and source.is_file() and _verified_path(file) is None:
            copy_in(source, DownloadRequest(file.name, file.sha256, file.size, (), _place(file)))
            _pin_if_unpinned(file)
            copied.append(_place(file))
    return tuple(copied)


def file_sha256(path: Path) -> str:
    """Return a file's hex sha256; cached in the process while its size and time stay the same."""
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _place(file: ModelFile) -> Path:
    return (_WEIGHTS if file.bundled else models_folder()) / file.name


def _pinned(file: ModelFile) -> bool:
    return bool(file.sha256 or (file.archive and file.archive.sha256))


def _sidecar(file: ModelFile) -> Path:
    """Return where the sha256 of an unpinned file is recorded."""
    return _place(file).with_name(f"{file.name}.sha256")


def _expected(file: ModelFile) -> str | None:
    if file.sha256 or file.bundled:
        return file.sha256
    try:
        return _sidecar(file).read_text("ascii").strip() or None
    except OSError:
        return None


def _state(file: ModelFile) -> FileState:
    path = local_path(file)
    if path is None:
        return FileState(file.role, file.name, None, "missing", "not on this machine")
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        detail = f"{size} bytes instead of {file.size}"
        return FileState(file.role, file.name, path, "corrupt", detail)
    expected, found = _expected(file), file_sha256(path)
    if expected is None:
        detail = f"sha256 {found}; its card names none"
        return FileState(file.role, file.name, path, "unpinned", detail)
    if found != expected:
        detail = f"sha256 {found} instead of {expected}"
        return FileState(file.role, file.name, path, "corrupt", detail)
    return FileState(file.role, file.name, path, "ok")


def _verified_path(file: ModelFile) -> Path | None:
    """Return the file's path if it is whole; None if it must be downloaded."""
    state = _state(file)
    if state.state == "ok":
        return state.path
    if file.bundled:
        raise ChecksumError(
            f"{_place(file)}, a file of the package itself, is {state.state} ({state.detail}); "
            "install faceprint again"
        )
    if state.state == "corrupt":
        _LOG.warning("%s is damaged (%s); downloading it again", state.path, state.detail)
    return None


def fetch_file(file: ModelFile, *, progress: bool = True) -> Path:
    """Return one verified file, downloaded if needed; the license is not checked.

    Raises:
        ChecksumError, DownloadError, ModelMissingError: as `ensure`.
    """
    # Imported late: most runs download nothing.
    from faceprint.zoo.download import DownloadRequest, cache_lock, fetch

    target = _place(file)
    with cache_lock(target):
        if _state(file).state == "ok":  # another process has downloaded it in the meantime
            return target
        urls = () if file.archive else file.urls
        request = DownloadRequest(file.name, file.sha256, file.size, urls, target)
        if file.archive is None:
            fetch(request, progress=progress)
        else:
            from faceprint.zoo.archive import fetch_member

            fetch_member(request, file, progress=progress)
        _pin_if_unpinned(file)
    return target


def _pin_if_unpinned(file: ModelFile) -> None:
    if file.sha256 is None:
        atomic_write(_sidecar(file), file_sha256(_place(file)) + "\n")


def _adopt_unpinned(file: ModelFile) -> Path | None:
    """Record the sha256 of an unpinned file that was copied into the store by hand."""
    state = _state(file)
    if state.state != "unpinned":
        return None
    _pin_if_unpinned(file)
    return state.path


def _refuse_outside(path: Path) -> None:
    if path.parent == _WEIGHTS:
        return
    # A card's file may be weights and no graph; what is opened as a graph is checked again.
    with suppress(ChecksumError):
        refuse_outside(path)
