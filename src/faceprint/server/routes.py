"""The routes: what each reads from a request, asks of the engine or the gallery, and answers."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime
from importlib import resources
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Query, UploadFile
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from faceprint.errors import UnknownSubjectError, UsageError
from faceprint.recognition.cluster import cluster as cluster_results
from faceprint.recognition.gallery.enrollment import EnrollOptions
from faceprint.recognition.gallery.gallery import Gallery
from faceprint.recognition.gallery.records import Consent, Skipped, Subject, TemplateRow
from faceprint.recognition.thresholds.calibrations import analyzer_points
from faceprint.recognition.verify import verify_analyzed
from faceprint.server import schemas
from faceprint.server.access import GuardedRoute, needs
from faceprint.server.gallery_threads import GalleryThreads
from faceprint.server.problems import HttpError
from faceprint.server.work_queue import WorkQueue
from faceprint.types import AnalyzedImage, Face
from faceprint.vision.analyzer import FaceAnalyzer
from faceprint.zoo.card import ModelCard

__all__ = ["api", "open_routes"]

_PROBLEM: dict[int | str, dict[str, Any]] = {
    code: {
        "description": words,
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    }
    for code, words in {
        400: "The request is not valid",
        401: "No valid key",
        403: "The key lacks the scope",
        404: "Not there",
        413: "Too large",
        422: "The image or a field can't be used",
        429: "Busy, or too many requests",
    }.items()
}
_MOST_IMAGES = 200
_PAGE_SIZE = 100
_AT_ONCE = 8
"""Photographs of one request that wait at once, so that others find a place between them."""

open_routes = APIRouter()
api = APIRouter(route_class=GuardedRoute)

Image = Annotated[UploadFile, File(description="JPEG, PNG, WebP, TIFF, BMP or GIF")]
Images = Annotated[list[UploadFile], File(description="photographs")]
Quality = Annotated[
    float | None,
    Query(ge=0, le=1, description="least quality of a face that decides; 0 decides on all"),
]
Threshold = Annotated[float | None, Query(ge=-1, le=1, description="cosine similarity")]


# What anybody may ask


@open_routes.get("/", include_in_schema=False)
async def page() -> HTMLResponse:
    """The page for people."""
    return HTMLResponse(_static("index.html"))


@open_routes.get("/healthz", tags=["service"])
async def healthz() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


@open_routes.get("/readyz", tags=["service"], responses={503: {"description": "Not ready"}})
async def readyz(request: Request) -> JSONResponse:
    """Whether photographs can be analyzed and the gallery can be searched."""
    gallery: GalleryThreads | None = request.app.state.gallery
    if gallery is not None:
        await gallery.read(lambda opened: opened.header.generation)
    return JSONResponse({"status": "ready"})


@api.get("/metrics", tags=["service"], openapi_extra=needs("read"), responses=_PROBLEM)
async def metrics(request: Request) -> Response:
    """Counters and latencies for Prometheus."""
    request.app.state.metrics.depth.set(request.app.state.queue.depth)
    text = generate_latest(request.app.state.metrics.registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


# Models


@api.get("/v1/models", tags=["models"], openapi_extra=needs("read"), responses=_PROBLEM)
async def models(request: Request) -> schemas.ModelsAnswer:
    """The models of this server, and the thresholds that are known for them."""
    fp = _analyzer(request)
    points = analyzer_points(fp).points
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


# Faces


@api.post("/v1/faces", tags=["faces"], openapi_extra=needs("identify"), responses=_PROBLEM)
async def faces(
    request: Request,
    image: Image,
    embed: Annotated[bool, Query(description="answer embeddings; needs the scope embed")] = False,
    crops: Annotated[bool, Query(description="answer the aligned crops")] = False,
) -> schemas.FacesAnswer:
    """Find the faces of a photograph, largest first."""
    if embed and "embed" not in request.state.scopes:
        raise HttpError(403, "this key lacks the scope embed")
    result = await _analyze(request, image, embed=True, keep_crops=crops)
    return schemas.FacesAnswer(
        width=result.width,
        height=result.height,
        embedder=_analyzer(request).embedder_card.id if embed else None,
        faces=[
            schemas.DetectedFace(**_face(face, embed=embed, crop=crops)) for face in result.faces
        ],
    )


@api.post("/v1/verify", tags=["faces"], openapi_extra=needs("identify"), responses=_PROBLEM)
async def verify(
    request: Request,
    a: Image,
    b: Image,
    fmr: Annotated[float | None, Query(gt=0, lt=1, description="false match rate")] = None,
    threshold: Threshold = None,
    faces: Annotated[Literal["largest", "all", "one"], Query()] = "largest",
    min_quality: Quality = None,
    crops: Annotated[bool, Query(description="answer the aligned crops")] = False,
) -> schemas.VerifyAnswer:
    """Compare the faces of two photographs."""
    first, second = await asyncio.gather(
        _analyze(request, a, keep_crops=crops, name="a"),
        _analyze(request, b, keep_crops=crops, name="b"),
    )
    answer = verify_analyzed(
        first,
        second,
        analyzer=_analyzer(request),
        fmr=fmr,
        threshold=threshold,
        faces=faces,
        min_quality=min_quality,
    )
    document = answer.to_dict()
    if crops:
        for face, entry in zip(answer.faces, document["faces"], strict=True):
            entry["crop"] = _data_url(face)
    return schemas.VerifyAnswer(**document)


@api.post("/v1/identify", tags=["gallery"], openapi_extra=needs("identify"), responses=_PROBLEM)
async def identify(
    request: Request,
    image: Image,
    top: Annotated[int, Query(ge=1, le=100)] = 5,
    fpir: Annotated[
        float | None, Query(gt=0, lt=1, description="share of strangers taken for somebody")
    ] = None,
    threshold: Threshold = None,
    min_quality: Quality = None,
) -> schemas.IdentifyAnswer:
    """Search every face of a photograph in the gallery."""
    gallery = _gallery(request)
    result = await _analyze(request, image)
    found = [face for face in result.faces if face.embedding is not None]

    def search(opened: Gallery) -> schemas.IdentifyAnswer:
        point = opened.operating_point(fpir=fpir, threshold=threshold)
        answers = opened.identify_faces(found, point, top=top, min_quality=min_quality)
        return schemas.IdentifyAnswer(
            threshold=point.threshold,
            operating_point=point.name,
            faces=[
                schemas.IdentifiedFace(box=face.to_dict()["box"], **answer.to_dict())
                for face, answer in zip(found, answers, strict=True)
            ],
        )

    return await gallery.read(search)


@api.post("/v1/cluster", tags=["faces"], openapi_extra=needs("identify"), responses=_PROBLEM)
async def cluster(
    request: Request,
    images: Images,
    threshold: Threshold = None,
    fmr: Annotated[float | None, Query(gt=0, lt=1, description="false match rate")] = None,
) -> schemas.Clusters:
    """Sort the faces of photographs into people; keys as in `faceprint cluster --json`."""
    if len(images) > _MOST_IMAGES:
        raise HttpError(413, f"at most {_MOST_IMAGES} images in a request")
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def analyze(number: int, image: UploadFile) -> AnalyzedImage:
        name = image.filename or f"image {number}"
        async with at_once:
            return await _analyze(request, image, name=name, keep_errors=True)

    results = await asyncio.gather(*(analyze(*item) for item in enumerate(images, 1)))
    album = await asyncio.to_thread(
        cluster_results,
        results,
        detector=_analyzer(request).detector_card.id,
        threshold=threshold,
        fmr=fmr,
    )
    return schemas.Clusters(**album.to_dict())


# Subjects


@api.get("/v1/subjects", tags=["gallery"], openapi_extra=needs("read"), responses=_PROBLEM)
async def subjects(
    request: Request,
    after: Annotated[str | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = _PAGE_SIZE,
) -> schemas.SubjectList:
    """Everybody in the gallery, by name."""

    def listed(opened: Gallery) -> schemas.SubjectList:
        page: list[schemas.SubjectInfo] = []
        for subject in opened.subjects():
            if after is not None and subject.name <= after:
                continue
            if len(page) == limit:
                return schemas.SubjectList(subjects=page, next=page[-1].name)
            page.append(_subject(subject))
        return schemas.SubjectList(subjects=page, next=None)

    return await _gallery(request).read(listed)


@api.post(
    "/v1/subjects",
    tags=["gallery"],
    status_code=201,
    openapi_extra=needs("write"),
    responses=_PROBLEM,
)
async def enroll(
    request: Request,
    images: Images,
    name: Annotated[str, Form(min_length=1, max_length=500)],
    metadata: Annotated[str, Form(description="a JSON object")] = "",
    consent: Annotated[str, Form(description='a JSON object: {"basis": ...}')] = "",
    faces: Annotated[Literal["largest", "one"], Form()] = "largest",
    min_quality: Annotated[float | None, Form(ge=0, le=1)] = None,
) -> schemas.EnrollAnswer:
    """Enroll photographs of somebody, who is added to the gallery if not there.

    The answer arrives once the templates are on disk. A photograph that can't be used is answered
    with the reason, and the others are enrolled.
    """
    options = EnrollOptions(
        faces,
        min_quality,
        _json_object(metadata, "metadata") if metadata else None,
        _consent(_json_object(consent, "consent")) if consent else None,
    )
    return await _enroll(request, name, images, options)


@api.get("/v1/subjects/{id}", tags=["gallery"], openapi_extra=needs("read"), responses=_PROBLEM)
async def subject(request: Request, id: str) -> schemas.SubjectDetails:
    """Somebody, and the templates that they have."""

    def shown(opened: Gallery) -> schemas.SubjectDetails:
        found, rows = opened.show(_by_id(opened, id).name)
        return schemas.SubjectDetails(
            **_subject(found).model_dump(), items=[_template(row) for row in rows]
        )

    return await _gallery(request).read(shown)


@api.patch("/v1/subjects/{id}", tags=["gallery"], openapi_extra=needs("write"), responses=_PROBLEM)
async def update(request: Request, id: str, change: schemas.SubjectUpdate) -> schemas.SubjectInfo:
    """Replace the metadata or the consent of somebody."""
    consent = None if change.consent is None else _consent(change.consent)

    def updated(opened: Gallery) -> schemas.SubjectInfo:
        name = _by_id(opened, id).name
        return _subject(opened.update(name, metadata=change.metadata, consent=consent))

    return await _gallery(request).write(updated)


@api.delete(
    "/v1/subjects/{id}",
    tags=["gallery"],
    status_code=204,
    openapi_extra=needs("write"),
    responses=_PROBLEM,
)
async def remove(request: Request, id: str) -> Response:
    """Remove somebody, and every byte of their templates."""
    await _gallery(request).write(lambda opened: opened.remove(_by_id(opened, id).name))
    return Response(status_code=204)


@api.post(
    "/v1/subjects/{id}/templates",
    tags=["gallery"],
    status_code=201,
    openapi_extra=needs("write"),
    responses=_PROBLEM,
)
async def add_templates(request: Request, id: str, images: Images) -> schemas.EnrollAnswer:
    """Enroll more photographs of somebody."""
    name = await _gallery(request).read(lambda opened: _by_id(opened, id).name)
    return await _enroll(request, name, images, EnrollOptions())


@api.delete(
    "/v1/subjects/{id}/templates/{template}",
    tags=["gallery"],
    status_code=204,
    openapi_extra=needs("write"),
    responses=_PROBLEM,
)
async def remove_template(request: Request, id: str, template: str) -> Response:
    """Remove one template."""

    def removed(opened: Gallery) -> None:
        _, rows = opened.show(_by_id(opened, id).name)
        if template not in {row.id for row in rows}:
            raise UnknownSubjectError(f"there is no template {template} of this subject")
        opened.remove_template(template)

    await _gallery(request).write(removed)
    return Response(status_code=204)


# Helpers


def _static(name: str) -> str:
    return (resources.files(__package__) / "static" / name).read_text("utf-8")


def _analyzer(request: Request) -> FaceAnalyzer:
    analyzer: FaceAnalyzer = request.app.state.analyzer
    return analyzer


def _gallery(request: Request) -> GalleryThreads:
    gallery: GalleryThreads | None = request.app.state.gallery
    if gallery is None:
        raise HttpError(404, "this server has no gallery; start it with --gallery")
    return gallery


async def _analyze(
    request: Request,
    image: UploadFile,
    *,
    embed: bool = True,
    keep_crops: bool = False,
    name: str = "image",
    keep_errors: bool = False,
) -> AnalyzedImage:
    """The faces of an upload; its error is raised, or kept under its name."""
    queue: WorkQueue = request.app.state.queue
    result = await queue.analyze(await image.read(), embed=embed, keep_crops=keep_crops)
    named = AnalyzedImage(name, result.faces, result.width, result.height, result.error)
    if result.error is not None and not keep_errors:
        raise result.error
    return named


async def _enroll(
    request: Request, name: str, images: list[UploadFile], options: EnrollOptions
) -> schemas.EnrollAnswer:
    if len(images) > _MOST_IMAGES:
        raise HttpError(413, f"at most {_MOST_IMAGES} images in a request")
    labels = [image.filename or f"image {number}" for number, image in enumerate(images, 1)]
    contents = [await image.read() for image in images]

    def enrolled(opened: Gallery) -> schemas.EnrollAnswer:
        outcomes = list(opened.enroll_many(((name, content) for content in contents), options))
        results = [
            schemas.EnrollmentResult(source=label, template=None, new=False, reason=outcome.reason)
            if isinstance(outcome, Skipped)
            else schemas.EnrollmentResult(
                source=label, template=outcome.template, new=outcome.new, reason=None
            )
            for label, outcome in zip(labels, outcomes, strict=True)
        ]
        try:
            found = _subject(opened.show(name)[0])
        except UnknownSubjectError:
            found = None
        return schemas.EnrollAnswer(subject=found, results=results)

    return await _gallery(request).write(enrolled)


def _by_id(opened: Gallery, id: str) -> Subject:
    found = next((subject for subject in opened.subjects() if subject.uid == id), None)
    if found is None:
        raise UnknownSubjectError("there is no subject of this id")
    return found


def _subject(subject: Subject) -> schemas.SubjectInfo:
    consent = subject.consent
    return schemas.SubjectInfo(
        id=subject.uid,
        name=subject.name,
        metadata=dict(subject.metadata),
        consent=None
        if consent is None
        else {name: getattr(consent, name) for name in Consent.__slots__},
        created=subject.created,
        templates=subject.templates,
    )


def _template(row: TemplateRow) -> schemas.TemplateInfo:
    return schemas.TemplateInfo(
        id=row.id,
        source=row.source,
        created=row.created,
        quality=row.quality,
        box=None if row.box is None else [round(value, 2) for value in row.box],
    )


def _model(card: ModelCard) -> schemas.ModelInfo:
    return schemas.ModelInfo(
        id=card.id,
        title=card.title,
        task=card.task,
        license=card.license.weights,
        commercial_use=card.license.commercial_use,
    )


def _face(face: Face, *, embed: bool, crop: bool) -> dict[str, Any]:
    entry = face.to_dict()
    if embed and face.embedding is not None:
        entry["embedding"] = [float(value) for value in face.embedding.vector]
        entry["norm"] = float(face.embedding.norm)
    if crop:
        entry["crop"] = _data_url(face)
    return entry


def _data_url(face: Face) -> str | None:
    if face.crop is None:
        return None
    import cv2

    done, encoded = cv2.imencode(".png", face.crop[:, :, ::-1])
    return f"data:image/png;base64,{base64.b64encode(encoded.tobytes()).decode()}" if done else None


def _json_object(text: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UsageError(f"{what} is not a JSON object")
    return value


def _consent(values: dict[str, Any]) -> Consent:
    unknown = set(values) - set(Consent.__slots__)
    if unknown:
        raise UsageError(f"consent has unknown keys: {', '.join(sorted(unknown))}")
    if not isinstance(values.get("basis"), str):
        raise UsageError("consent needs a basis, in words")
    return Consent(**{"given": datetime.now(UTC).date().isoformat()} | values)
