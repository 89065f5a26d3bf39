"""The page, the state of the service, and its models."""

from __future__ import annotations

from importlib import resources

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from faceprint.recognition.thresholds.default_threshold import model_points
from faceprint.server import schemas
from faceprint.server.access import GuardedRoute, needs
from faceprint.server.gallery_threads import GalleryThreads
from faceprint.server.openapi import PROBLEMS
from faceprint.server.service import analyzer_of
from faceprint.zoo.card import ModelCard

__all__ = ["open_router", "router"]

open_router = APIRouter()
"""Routes for everybody, with or without a key."""
router = APIRouter(route_class=GuardedRoute, responses=PROBLEMS)


@open_router.get("/", include_in_schema=False)
async def page(request: Request) -> HTMLResponse:
    """The page for people; it shows the album's view where there is an album."""
    text = resources.files("faceprint.server").joinpath("static", "index.html").read_text("utf-8")
    if request.app.state.album is not None:
        text = text.replace('data-album="no"', 'data-album="yes"', 1)
    return HTMLResponse(text)


@open_router.get("/healthz", tags=["service"])
async def healthz() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


@open_router.get("/readyz", tags=["service"], responses={503: {"description": "Not ready"}})
async def readyz(request: Request) -> JSONResponse:
    """Whether photographs can be analyzed and the gallery can be searched."""
    gallery: GalleryThreads | None = request.app.state.gallery
    if gallery is not None:
        await gallery.read(lambda opened: opened.header.generation)
    return JSONResponse({"status": "ready"})


@router.get(
    "/metrics",
    tags=["service"],
    response_class=PlainTextResponse,
    openapi_extra=needs("read"),
)
async def metrics(request: Request) -> Response:
    """Counters and latencies for Prometheus."""
    state = request.app.state
    state.metrics.depth.set(state.queue.depth)
    state.metrics.uploads.set(state.admission.count)
    text = generate_latest(state.metrics.registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/models", tags=["models"], openapi_extra=needs("read"))
async def models(request: Request) -> schemas.ModelsAnswer:
    """The models of this server, and the thresholds that are known for them."""
    fp = analyzer_of(request)
    points = model_points(fp).points
    return schemas.ModelsAnswer(
        pack=fp.name,
        runtime=fp.runtime,
        detector=_model(fp.detector_card),
        embedder=_model(fp.embedder_card),
        operating_points=[
            schemas.OperatingPointInfo(
                name=point.name,
                threshold=point.threshold,
                fmr=point.fmr,
                fnmr=point.fnmr,
                evidence=point.evidence,
                provisional=point.provisional,
            )
            for point in points
        ],
    )


def _model(card: ModelCard) -> schemas.ModelInfo:
    return schemas.ModelInfo(
        id=card.id,
        title=card.title,
        task=card.task,
        license=card.license.weights,
        commercial_use=card.license.commercial_use,
    )
