"""The application: models, queue, gallery and keys, behind the routes of the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from pathlib import Path

from fastapi import FastAPI
from starlette.formparsers import MultiPartParser
from starlette.staticfiles import StaticFiles

from faceprint import __version__, settings
from faceprint.recognition.gallery.crypto import Key
from faceprint.server.access import Access, Admission
from faceprint.server.album_thread import AlbumThread
from faceprint.server.compat import doors
from faceprint.server.gallery_threads import GalleryThreads, QueuedAnalyzer
from faceprint.server.keys import KeyFile
from faceprint.server.observability import Metrics, Observed
from faceprint.server.openapi import AllowedMethods, describe
from faceprint.server.problems import REFUSALS, problem_response
from faceprint.server.routes import ROUTERS
from faceprint.server.work_queue import WorkQueue
from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["ServiceOptions", "create_app"]

# Photographs stay in memory: an upload that is parsed leaves no file on a disk.
MultiPartParser.spool_max_size = 1 << 40


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """How a service runs.

    Attributes:
        gallery: a file or `postgresql://...`; None serves no subjects and no search.
        album: an album file, whose people are shown and corrected; None serves no album.
        gallery_key: of an encrypted gallery; None looks at the environment.
        keys: API keys; None lets everybody do everything.
        rate: requests per key.
        body_bytes: of one request.
        body_seconds: in which a request's body must arrive.
        requests: uploads that may be in the server at once; more are answered with 429.
        places: photographs that may wait or be analyzed at once.
        workers: threads that analyze; None for one per core.
        doors: other products whose clients are answered: immich, compreface, deepstack.
        forward: address of Immich's own service, for the tasks that are not about faces.
        open_doors: answer Immich, which sends no key, although `keys` are asked of all others.
    """

    gallery: str | None = None
    album: Path | None = None
    gallery_key: Key | None = field(default=None, repr=False)
    keys: KeyFile | None = None
    rate: str = "1200/minute"
    body_bytes: int = 24_000_000
    body_seconds: float = 30.0
    requests: int = 64
    places: int = 512
    workers: int | None = None
    doors: tuple[str, ...] = ()
    forward: str | None = None
    open_doors: bool = False


def create_app(analyzer: FaceAnalyzer, options: ServiceOptions) -> FastAPI:
    """The application, for uvicorn or another ASGI server.

    Args:
        analyzer: the models. Where it has worker processes, the photographs are analyzed there, so
            that requests don't wait for Python's lock.

    Raises:
        UsageError: a door that can't be opened with these models or options.
        At its start what opening the models and the gallery raises.
    """
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        queue = WorkQueue(
            analyzer.analyze_batch,
            workers=options.workers or settings.available_cores(),
            places=options.places,
            observe=metrics.observe,
        )
        app.state.queue, app.state.gallery, app.state.album = queue, None, None
        try:
            await asyncio.to_thread(analyzer.start)
            if options.gallery is not None:
                queued = QueuedAnalyzer(analyzer, queue, asyncio.get_running_loop())
                app.state.gallery = await asyncio.to_thread(
                    GalleryThreads, options.gallery, queued, options.gallery_key
                )
            if options.album is not None:
                detector = analyzer.detector_card.id
                app.state.album = await asyncio.to_thread(AlbumThread, options.album, detector)
        except BaseException as error:
            app.state.start_error = error
            await _close(app)
            raise
        try:
            yield
        finally:
            await _close(app)

    app = FastAPI(
        title="faceprint",
        version=__version__,
        summary="Face recognition on ONNX models: detect, compare, search, sort.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.analyzer, app.state.metrics, app.state.start_error = analyzer, metrics, None
    app.state.allowed = AllowedMethods()
    app.openapi = partial(describe, app)  # type: ignore[method-assign]
    app.state.access = Access(options.keys, options.rate)
    app.state.admission = Admission(
        options.requests, options.requests * 4_000_000, options.body_bytes, options.body_seconds
    )
    for router in ROUTERS:
        app.include_router(router)
        app.state.allowed.add(router)
    app.mount("/static", StaticFiles(directory=str(resources.files(__package__) / "static")))
    app.add_middleware(Observed, metrics=metrics)
    for door in options.doors:
        doors.add(app, door, analyzer, forward=options.forward, is_open=options.open_doors)
    for kind in REFUSALS:
        app.add_exception_handler(kind, problem_response)
    return app


async def _close(app: FastAPI) -> None:
    """Finish what was begun, and let go of album, gallery and queue."""
    for opened in (app.state.album, app.state.gallery, app.state.queue):
        if opened is not None:
            await asyncio.to_thread(opened.close)
