"""CompreFace's version 1 API: recognition, detection and verification under `x-api-key`.

Similarities are on CompreFace's scale: `AT_THRESHOLD` stands for the threshold of our operating
point. Recognition names nobody below it. Photographs are not kept, so none can be downloaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request

from faceprint.errors import NoFaceError, UnknownSubjectError, UsageError
from faceprint.recognition.gallery.enrollment import EnrollOptions
from faceprint.recognition.gallery.gallery import Gallery
from faceprint.recognition.gallery.records import Skipped
from faceprint.server.access import needs
from faceprint.server.compat.compreface_faces import (
    AT_THRESHOLD,
    compared,
    face_document,
    requested_faces,
)
from faceprint.server.compat.doors import (
    DoorRoute,
    json_object,
    photographs,
    rescale,
)
from faceprint.server.gallery_threads import SearchOptions
from faceprint.server.service import analyze, gallery_of
from faceprint.types import Array
from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["api", "check"]

_CODES = {
    "no-face": (400, 28),
    "several-faces": (400, 31),
    "unusable-image": (400, 21),
    "invalid-request": (400, 26),
    "unknown-subject": (404, 11),
    "unauthorized": (401, 10),
}
"""Status and CompreFace's code of each kind of refusal; 0 is its code for all others."""


def check(analyzer: FaceAnalyzer, forward: str | None) -> None:
    """Every model will do."""


class _Route(DoorRoute):
    async def secret(self, request: Request) -> str:
        """The header `x-api-key`."""
        return request.headers.get("x-api-key", "").strip()

    def refusal(self, type: str, words: str) -> tuple[int | None, dict[str, Any]]:
        """`message`, and the `code` that clients look at."""
        status, code = _CODES.get(type, (None, 0))
        if type == "no-face":
            words = "No face is found in the given image"
        return status, {"message": words, "code": code}


api = APIRouter(prefix="/api/v1", route_class=_Route)

Limit = Annotated[int, Query(ge=0)]
Probability = Annotated[float, Query(alias="det_prob_threshold", ge=0, le=1)]
Plugins = Annotated[str, Query(alias="face_plugins")]


@api.post("/recognition/recognize", openapi_extra=needs("identify"))
async def recognize(
    request: Request,
    limit: Limit = 0,
    prediction_count: Annotated[int, Query(ge=0, le=100)] = 1,
    score: Probability = 0.0,
    plugins: Plugins = "",
) -> dict[str, Any]:
    """Who every face of a photograph is, the largest first."""
    faces = await requested_faces(request, "file", limit, score)

    options = SearchOptions(top=max(1, prediction_count))
    point, answers = await gallery_of(request).identify(faces, options)
    found = [
        [
            {
                "subject": match.subject,
                "similarity": rescale(match.similarity, point.threshold, AT_THRESHOLD),
            }
            for match in answer
            if answer.decidable and match.similarity >= point.threshold
        ]
        for answer in answers
    ]
    return {
        "result": [
            face_document(request, face, plugins) | {"subjects": subjects}
            for face, subjects in zip(faces, found, strict=True)
        ]
    }


@api.post("/recognition/faces", status_code=201, openapi_extra=needs("write"))
async def add_face(request: Request, subject: str, score: Probability = 0.0) -> dict[str, Any]:
    """Enroll a photograph that shows one face."""
    (image,) = await photographs(request, "file")
    if not [face for face in (await analyze(request, image)).faces if face.score >= score]:
        raise NoFaceError("no face found")

    def enrolled(opened: Gallery) -> dict[str, Any]:
        (outcome,) = opened.enroll_many([(subject, image)], EnrollOptions("one"))
        if isinstance(outcome, Skipped):
            raise UsageError(outcome.reason)
        return {"image_id": outcome.template, "subject": outcome.subject}

    return await gallery_of(request).write(enrolled)


@api.get("/recognition/faces", openapi_extra=needs("read"))
async def faces(
    request: Request,
    page: Annotated[int, Query(ge=0)] = 0,
    size: Annotated[int, Query(ge=1, le=1000)] = 20,
    subject: str | None = None,
) -> dict[str, Any]:
    """The photographs that are enrolled, of everybody or of one person."""
    known = await gallery_of(request).read(lambda opened: list(_templates(opened, subject)))
    return {
        "faces": [
            {"image_id": template, "subject": name}
            for name, template in known[page * size : (page + 1) * size]
        ],
        "page_number": page,
        "page_size": size,
        "total_pages": -(-len(known) // size),
        "total_elements": len(known),
    }


@api.delete("/recognition/faces", openapi_extra=needs("write"))
async def delete_faces(request: Request, subject: str | None = None) -> dict[str, Any]:
    """Remove the photographs of one person, or without `subject` of everybody."""
    if subject == "":
        raise UsageError("subject is empty; leave it out to remove the faces of everybody")

    def removed(opened: Gallery) -> int:
        known = list(_templates(opened, subject))
        for _, template in known:
            opened.remove_template(template)
        return len(known)

    return {"deleted": await gallery_of(request).write(removed)}


@api.delete("/recognition/faces/{image_id}", openapi_extra=needs("write"))
async def delete_face(request: Request, image_id: str) -> dict[str, Any]:
    """Remove one photograph."""

    def removed(opened: Gallery) -> dict[str, Any]:
        name = _owner(opened, image_id)
        opened.remove_template(image_id)
        return {"image_id": image_id, "subject": name}

    return await gallery_of(request).write(removed)


@api.post("/recognition/faces/{image_id}/verify", openapi_extra=needs("identify"))
async def verify_face(
    request: Request,
    image_id: str,
    limit: Limit = 0,
    score: Probability = 0.0,
    plugins: Plugins = "",
) -> dict[str, Any]:
    """Compare the faces of a photograph with one that is enrolled."""

    def vector(opened: Gallery) -> Array:
        name = _owner(opened, image_id)
        _, rows = opened.show(name)
        found: Array = opened.vectors(name)[[row.id for row in rows].index(image_id)]
        return found

    found = await requested_faces(request, "file", limit, score)
    return {"result": compared(request, await gallery_of(request).read(vector), found, plugins)}


@api.get("/recognition/subjects", openapi_extra=needs("read"))
async def subjects(request: Request) -> dict[str, Any]:
    """Everybody's name."""
    names = await gallery_of(request).read(lambda opened: [s.name for s in opened.subjects()])
    return {"subjects": names}


@api.post("/recognition/subjects", status_code=201, openapi_extra=needs("write"))
async def add_subject(request: Request) -> dict[str, Any]:
    """Add somebody without a photograph."""
    name = _name(await json_object(request))
    made = await gallery_of(request).write(lambda opened: opened.add_subject(name))
    return {"subject": made.name}


@api.put("/recognition/subjects/{subject}", openapi_extra=needs("write"))
async def rename_subject(request: Request, subject: str) -> dict[str, Any]:
    """Give somebody another name; merging with somebody of that name is refused."""
    name = _name(await json_object(request))
    await gallery_of(request).write(lambda opened: opened.rename(subject, name))
    return {"updated": True}


@api.delete("/recognition/subjects/{subject}", openapi_extra=needs("write"))
async def delete_subject(request: Request, subject: str) -> dict[str, Any]:
    """Remove somebody and their photographs."""
    await gallery_of(request).write(lambda opened: opened.remove(subject))
    return {"subject": subject}


@api.delete("/recognition/subjects", openapi_extra=needs("write"))
async def delete_subjects(request: Request) -> dict[str, Any]:
    """Remove everybody."""

    def removed(opened: Gallery) -> int:
        names = [subject.name for subject in opened.subjects()]
        if names:
            opened.remove(*names)
        return len(names)

    return {"deleted": await gallery_of(request).write(removed)}


@api.post("/detection/detect", openapi_extra=needs("identify"))
async def detect(
    request: Request, limit: Limit = 0, score: Probability = 0.0, plugins: Plugins = ""
) -> dict[str, Any]:
    """The faces of a photograph, the largest first."""
    found = await requested_faces(request, "file", limit, score)
    return {"result": [face_document(request, face, plugins) for face in found]}


@api.post("/verification/verify", openapi_extra=needs("identify"))
async def verify(
    request: Request, limit: Limit = 0, score: Probability = 0.0, plugins: Plugins = ""
) -> dict[str, Any]:
    """Compare the largest face of one photograph with the faces of another."""
    source = (await requested_faces(request, "source_image", 1, score))[0]
    targets = await requested_faces(request, "target_image", limit, score)
    assert source.embedding is not None
    matches = compared(request, source.embedding.vector, targets, plugins)
    shown = face_document(request, source, plugins)
    return {"result": [{"source_image_face": shown, "face_matches": matches}]}


def _templates(opened: Gallery, subject: str | None) -> Iterator[tuple[str, str]]:
    """(subject, template) of everybody, or of one person; nobody of that name has none."""
    for person in list(opened.subjects()):
        if subject is None or person.name == subject:
            yield from ((person.name, row.id) for row in opened.show(person.name)[1])


def _owner(opened: Gallery, template: str) -> str:
    for name, known in _templates(opened, None):
        if known == template:
            return name
    raise UnknownSubjectError(f"there is no image {template[:40]}")


def _name(document: dict[str, Any]) -> str:
    name = document.get("subject")
    if not isinstance(name, str):
        raise UsageError("subject is not a text")
    return name
