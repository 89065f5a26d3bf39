"""The album of a service: one thread reads and corrects it, others decode its photographs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from faceprint.errors import UsageError
from faceprint.recognition.albums.editor import AlbumEditor
from faceprint.recognition.albums.people import Album
from faceprint.recognition.albums.pictures import FacePhotograph, Picture, read_photograph
from faceprint.recognition.albums.store import AlbumFile
from faceprint.recognition.cluster import ClusterOptions, stored_album
from faceprint.recognition.thresholds.merge_threshold import MergeThreshold

__all__ = ["AlbumThread", "OpenAlbum", "album_file"]

Result = TypeVar("Result")

_DECODERS = 2
"""Photographs that are decoded at once: each may need some hundred megabytes."""
_LONGEST_SIDE = 1600


def album_file(path: Path) -> Path:
    """The album file in a folder that `faceprint cluster --out` wrote, or the file itself.

    Raises:
        UsageError: there is none.
    """
    file = path / "album.db" if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"there is no album at {path}; make one with faceprint cluster --out")
    return file


class OpenAlbum:
    """An open album, for one thread.

    Args:
        detector: card id of the detector that found the faces, as far as is known.
    """

    def __init__(self, path: Path, detector: str) -> None:
        self.file = AlbumFile(path)
        try:
            self.editor = AlbumEditor(self.file)
            self._threshold = _doubt(self.file, detector)
        except BaseException:
            self.file.close()
            raise
        self._shown: tuple[object, Album] | None = None

    def people(self) -> Album:
        """The people as they are stored now; read again only after a change of the file."""
        # The one counts what other connections wrote, the other what this one did.
        version = self.file.rows("PRAGMA data_version") + self.file.rows("SELECT total_changes()")
        if self._shown is None or self._shown[0] != version:
            self._shown = version, stored_album(self.file, self._threshold)
        return self._shown[1]

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _doubt(file: AlbumFile, detector: str) -> MergeThreshold:
    """The similarity below which a face is doubtful; where nothing is known, none is."""
    try:
        return ClusterOptions(detector=detector).merge_threshold(file.stored().table)
    except UsageError:
        return MergeThreshold.constant(-1.0)


class AlbumThread:
    """An album, and the threads that work on it.

    Args:
        path: the album file.
        detector: see `OpenAlbum`.

    Raises:
        GalleryError: it can't be opened.
    """

    def __init__(self, path: Path, detector: str) -> None:
        self._thread = ThreadPoolExecutor(1, "faceprint-album")
        self._decoders = ThreadPoolExecutor(_DECODERS, "faceprint-photograph")
        try:
            self._album = self._thread.submit(OpenAlbum, path, detector).result()
        except BaseException:
            self._thread.shutdown()
            self._decoders.shutdown()
            raise

    async def run(self, task: Callable[[OpenAlbum], Result]) -> Result:
        """What the task answers; it is finished though the request is cancelled."""
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._thread, task, self._album))

    async def picture(self, photograph: FacePhotograph) -> Picture:
        """A photograph for a screen; raises what `read_photograph` does."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._decoders, read_photograph, photograph, _LONGEST_SIDE
        )

    def close(self) -> None:
        """Finish what was begun, and close the album."""
        self._decoders.shutdown()
        self._thread.submit(self._album.close).result()
        self._thread.shutdown()
