"""Comparison, search and clustering of the faces of photographs."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Query, UploadFile
from starlette.requests import Request

from faceprint.recognition.cluster import cluster as cluster_results
from faceprint.recognition.verify import verify_analyzed
from faceprint.server import schemas
from faceprint.server.access import GuardedRoute, needs
from faceprint.server.gallery_threads import SearchOptions
from faceprint.server.openapi import PROBLEMS
from faceprint.server.problems import for_clients
from faceprint.server.routes.faces import crop_url
from faceprint.server.routes.parameters import (
    Crops,
    Fmr,
    Image,
    Images,
    MinQuality,
    Threshold,
    check_count,
)
from faceprint.server.service import analyze, analyzer_of, gallery_of
from faceprint.types import AnalyzedImage

__all__ = ["router"]

_AT_ONCE = 8
"""Photographs of one request that wait at once, so that others find a place between them."""

router = APIRouter(route_class=GuardedRoute, responses=PROBLEMS)


@router.post("/v1/verify", tags=["faces"], openapi_extra=needs("identify"))
async def verify(
    request: Request,
    a: Image,
    b: Image,
    fmr: Fmr = None,
    threshold: Threshold = None,
    faces: Annotated[Literal["largest", "all", "one"], Query()] = "largest",
    min_quality: MinQuality = None,
    crops: Crops = False,
) -> schemas.VerifyAnswer:
    """Compare the faces of two photographs."""
    first, second = await asyncio.gather(
        analyze(request, await a.read(), keep_crops=crops, name="a"),
        analyze(request, await b.read(), keep_crops=crops, name="b"),
    )
    answer = verify_analyzed(
        first,
        second,
        analyzer=analyzer_of(request),
        fmr=fmr,
        threshold=threshold,
        faces=faces,
        min_quality=min_quality,
    )
    document = answer.to_dict()
    if crops:
        for face, entry in zip(answer.faces, document["faces"], strict=True):
            entry["crop"] = crop_url(face)
    return schemas.VerifyAnswer(**document)


@router.post("/v1/identify", tags=["gallery"], openapi_extra=needs("identify"))
async def identify(
    request: Request,
    image: Image,
    top: Annotated[int, Query(ge=1, le=100)] = 5,
    fpir: Annotated[
        float | None, Query(gt=0, lt=1, description="share of strangers taken for somebody")
    ] = None,
    threshold: Threshold = None,
    min_quality: MinQuality = None,
) -> schemas.IdentifyAnswer:
    """Search every face of a photograph in the gallery."""
    gallery = gallery_of(request)
    result = await analyze(request, await image.read())
    found = [face for face in result.faces if face.embedding is not None]

    point, answers = await gallery.identify(found, SearchOptions(top, fpir, threshold, min_quality))
    return schemas.IdentifyAnswer(
        threshold=point.threshold,
        operating_point=point.name,
        faces=[
            schemas.IdentifiedFace(box=face.to_dict()["box"], **answer.to_dict())
            for face, answer in zip(found, answers, strict=True)
        ],
    )


@router.post("/v1/cluster", tags=["faces"], openapi_extra=needs("identify"))
async def cluster(
    request: Request,
    images: Images,
    threshold: Threshold = None,
    fmr: Fmr = None,
) -> schemas.Clusters:
    """Sort the faces of photographs into people; keys as in `faceprint cluster --json`."""
    check_count(images)
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int, image: UploadFile) -> AnalyzedImage:
        name = image.filename or f"image {number}"
        async with at_once:
            return await analyze(request, await image.read(), name=name, keep_error=True)

    results = await asyncio.gather(*(one(*item) for item in enumerate(images, 1)))
    album = await asyncio.to_thread(
        cluster_results,
        results,
        detector=analyzer_of(request).detector_card.id,
        threshold=threshold,
        fmr=fmr,
    )
    document = album.to_dict()
    for failure in document["failed"]:
        failure["error"] = for_clients(failure["error"])
    return schemas.Clusters(**document)
