"""What the handlers of requests use of the running service: models, gallery and queue."""

from __future__ import annotations

from starlette.requests import Request

from faceprint.server.album_thread import AlbumThread
from faceprint.server.gallery_threads import GalleryThreads
from faceprint.server.problems import HttpError
from faceprint.server.work_queue import WorkQueue
from faceprint.types import AnalyzedImage
from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["album_of", "analyze", "analyzer_of", "gallery_of"]


def analyzer_of(request: Request) -> FaceAnalyzer:
    """The service's models."""
    analyzer: FaceAnalyzer = request.app.state.analyzer
    return analyzer


def gallery_of(request: Request) -> GalleryThreads:
    """The service's gallery.

    Raises:
        HttpError: 404 without one.
    """
    gallery: GalleryThreads | None = request.app.state.gallery
    if gallery is None:
        raise HttpError(404, "this server has no gallery; start it with --gallery")
    return gallery


def album_of(request: Request) -> AlbumThread:
    """The service's album.

    Raises:
        HttpError: 404 without one.
    """
    album: AlbumThread | None = request.app.state.album
    if album is None:
        raise HttpError(404, "this server has no album; start it with --album")
    return album


async def analyze(
    request: Request,
    image: bytes,
    *,
    name: str = "image",
    keep_crops: bool = False,
    keep_error: bool = False,
) -> AnalyzedImage:
    """The faces of a photograph, from the service's queue.

    Args:
        name: `source` of the result.
        keep_error: give the error of an unusable photograph in the result.

    Raises:
        WorkQueueFullError: no place in the queue.
        FaceprintError: the photograph can't be used; not with `keep_error`.
    """
    queue: WorkQueue = request.app.state.queue
    result = await queue.analyze(image, keep_crops=keep_crops)
    if result.error is not None and not keep_error:
        raise result.error
    return AnalyzedImage(name, result.faces, result.width, result.height, result.error)
