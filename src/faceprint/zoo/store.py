"""The store: every file of a card on this machine, checked, fetched when it is not here.

The cache is `FACEPRINT_HOME/models`. A file counts as there only when its size and sha256 are the
card's; that is checked each time a model is opened, so a damaged file never becomes a session.
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
    """What `verify` found of one file.

    Attributes:
        state: `ok`, `missing`, `corrupt`, or `unpinned` (there, but with no sha256 to hold it to).
        detail: what is wrong, in words; empty for `ok`.
    """

    role: str
    name: str
    path: Path | None
    state: Literal["ok", "missing", "corrupt", "unpinned"]
    detail: str = ""


def models_folder() -> Path:
    """Where fetched models are kept."""
    return settings.home() / "models"


def local_path(file: ModelFile) -> Path | None:
    """Where the file is on this machine, unchecked; None where it is not."""
    path = _place(file)
    return path if path.is_file() else None


def ensure(
    card: ModelCard,
    *,
    accept_license: bool = False,
    allow_unpinned: bool = False,
    progress: bool = True,
) -> dict[str, Path]:
    """Every file of a card, verified, by role; fetches what is missing or damaged.

    Args:
        card: the model.
        accept_license: accept a non-commercial or unclear license.
        allow_unpinned: fetch files whose sha256 nobody could source; what came is then held to
            its own sha256 from that time on.
        progress: a bar on stderr, where that is a terminal.

    Raises:
        LicenseNotAcceptedError: the license has not been accepted.
        ChecksumError: a packaged file is damaged, or what was fetched is not the card's file.
        DownloadError: every address failed, or the cache cannot be written.
        ModelMissingError: offline and not in the mirror, or unpinned and not allowed.
        CardError: the graph's external data points outside its folder.
    """
    if not all(file.bundled for file in card.files):
        licenses.require(card, accept=accept_license)
    paths = {}
    for file in card.files:
        path = _good(file)
        if path is None:
            if not _pinned(file) and not allow_unpinned:
                raise ModelMissingError(
                    f"{card.id} is unpinned: no source for the sha256 of {file.name} is known; "
                    f"`faceprint models pull {card.id} --allow-unpinned` fetches it all the same"
                )
            path = _vouched(file) if not _pinned(file) else None
            path = path or fetch_file(file, progress=progress)
        paths[file.role] = path
    for path in paths.values():
        _refuse_outside(path)
    return paths


def is_ready(card: ModelCard) -> bool:
    """Whether every file is on this machine; sizes are compared, contents are not."""
    for file in card.files:
        path = local_path(file)
        if path is None or (file.size is not None and path.stat().st_size != file.size):
            return False
    return True


def verify(card: ModelCard) -> tuple[FileState, ...]:
    """The state of every file of a card, contents read; nothing is fetched or changed."""
    return tuple(_state(file) for file in card.files)


def adopt(card: ModelCard, folder: Path) -> tuple[Path, ...]:
    """Copy a card's files that lie in a folder into the store.

    Returns:
        The paths in the store of the files that were taken.

    Raises:
        ChecksumError: a file there is not the card's.
        DownloadError: the store cannot be written.
    """
    from faceprint.zoo.download import DownloadRequest, copy_in

    taken = []
    for file in card.files:
        source = folder / file.name
        if not file.bundled and source.is_file() and _good(file) is None:
            copy_in(source, DownloadRequest(file.name, file.sha256, file.size, (), _place(file)))
            _pin_if_unpinned(file)
            taken.append(_place(file))
    return tuple(taken)


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file; remembered within the process while size and time stay the same."""
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
    """Where the sha256 of an unpinned file is kept once it has come."""
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
        detail = f"sha256 {found}, which no card vouches for"
        return FileState(file.role, file.name, path, "unpinned", detail)
    if found != expected:
        detail = f"sha256 {found} instead of {expected}"
        return FileState(file.role, file.name, path, "corrupt", detail)
    return FileState(file.role, file.name, path, "ok")


def _good(file: ModelFile) -> Path | None:
    """The verified path, None where it must be fetched."""
    state = _state(file)
    if state.state == "ok":
        return state.path
    if file.bundled:
        raise ChecksumError(
            f"{_place(file)}, a file of the package itself, is {state.state} ({state.detail}); "
            "install faceprint again"
        )
    if state.state == "corrupt":
        _LOG.warning("%s is damaged (%s); fetching it again", state.path, state.detail)
    return None


def fetch_file(file: ModelFile, *, progress: bool = True) -> Path:
    """One file, verified; fetched when it is not here. Its card's license is not looked at.

    Raises:
        ChecksumError, DownloadError, ModelMissingError: as `ensure`.
    """
    # Imported late: a run that finds its models on the disk pays for no download code.
    from faceprint.zoo.download import DownloadRequest, cache_lock, fetch

    target = _place(file)
    with cache_lock(target):
        path = _good_quietly(file)
        if path is not None:
            return path
        urls = () if file.archive else file.urls
        wanted = DownloadRequest(file.name, file.sha256, file.size, urls, target)
        if file.archive is None:
            fetch(wanted, progress=progress)
        else:
            from faceprint.zoo.archive import fetch_member

            fetch_member(wanted, file, progress=progress)
        _pin_if_unpinned(file)
    return target


def _good_quietly(file: ModelFile) -> Path | None:
    state = _state(file)
    return state.path if state.state == "ok" else None


def _pin_if_unpinned(file: ModelFile) -> None:
    if file.sha256 is None:
        atomic_write(_sidecar(file), file_sha256(_place(file)) + "\n")


def _vouched(file: ModelFile) -> Path | None:
    """An unpinned file that was copied into the store by hand; held to its sha256 from now on."""
    state = _state(file)
    if state.state != "unpinned":
        return None
    _pin_if_unpinned(file)
    return state.path


def _refuse_outside(path: Path) -> None:
    if path.parent == _WEIGHTS:
        return
    # A card's file may be weights, which are no graph: what is opened as one is judged again.
    with suppress(ChecksumError):
        refuse_outside(path)
