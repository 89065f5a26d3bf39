"""DeepStack's face API: recognize, register, delete and list under `/v1/vision/face`.

Its clients send the key as a field of the form, so the body is read before the key is checked.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.datastructures import UploadFile
from starlette.requests import Request

from faceprint.errors import UnknownSubjectError, UsageError
from faceprint.recognition.gallery.enrollment import EnrollOptions
from faceprint.recognition.gallery.gallery import Gallery
from faceprint.recognition.gallery.records import Skipped
from faceprint.server.access import needs
from faceprint.server.compat.doors import DoorRoute, photographs, rescale
from faceprint.server.gallery_threads import SearchOptions
from faceprint.server.problems import HttpError
from faceprint.server.service import analyze, gallery_of
from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["AT_THRESHOLD", "api", "check"]

AT_THRESHOLD = 0.67
"""The confidence of a similarity at our threshold: DeepStack's own default."""
_MOST_IMAGES = 50


def check(analyzer: FaceAnalyzer, forward: str | None) -> None:
    """Every model will do."""


class _Route(DoorRoute):
    key_in_body = True

    async def secret(self, request: Request) -> str:
        """The field `api_key` or `admin_key`, else the header that our own routes take."""
        form = await request.form()
        found = form.get("api_key") or form.get("admin_key")
        return found if isinstance(found, str) else await super().secret(request)

    def refusal(self, type: str, words: str) -> tuple[int | None, dict[str, Any]]:
        """`success` is false, and `error` says why."""
        unusable = type in ("no-face", "unusable-image", "invalid-request", "several-faces")
        return 400 if unusable else None, {"success": False, "error": words}


api = APIRouter(prefix="/v1/vision/face", route_class=_Route)


@api.post("/recognize", openapi_extra=needs("identify"))
async def recognize(request: Request) -> dict[str, Any]:
    """Who every face of a photograph is; `unknown` for a stranger."""
    form = await request.form()
    least = _confidence(form.get("min_confidence"))
    (image,) = await photographs(request, "image")
    faces = [f for f in (await analyze(request, image)).faces if f.embedding is not None]

    point, answers = await gallery_of(request).identify(faces, SearchOptions(top=1))
    found = []
    for face, answer in zip(faces, answers, strict=True):
        best = next(iter(answer), None)
        score = 0.0
        if best is not None and answer.decidable:
            score = rescale(best.similarity, point.threshold, AT_THRESHOLD)
        known = best is not None and answer.decidable and score >= least
        name = best.subject if best is not None and known else "unknown"
        found.append(_prediction(face.box, name, score if known else 0.0))
    return {"success": True, "predictions": found}


@api.post("/register", openapi_extra=needs("write"))
async def register(request: Request) -> dict[str, Any]:
    """Enroll every photograph of the form, whatever its field is called."""
    form = await request.form()
    name = _user(form.get("userid"))
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    if not files or len(files) > _MOST_IMAGES:
        raise HttpError(422, f"send 1 to {_MOST_IMAGES} image files")
    images = [await file.read() for file in files]

    def enrolled(opened: Gallery) -> bool:
        known = any(subject.name == name for subject in opened.subjects())
        outcomes = list(opened.enroll_many(((name, i) for i in images), EnrollOptions()))
        skipped = [outcome.reason for outcome in outcomes if isinstance(outcome, Skipped)]
        if len(skipped) == len(outcomes):
            raise UsageError(skipped[0])
        return known

    known = await gallery_of(request).write(enrolled)
    return {"success": True, "message": "face updated" if known else "face added"}


@api.post("/delete", openapi_extra=needs("write"))
async def delete(request: Request) -> dict[str, Any]:
    """Remove somebody; nobody there is no error, as in DeepStack."""
    name = _user((await request.form()).get("userid"))

    def removed(opened: Gallery) -> None:
        try:
            opened.remove(name)
        except UnknownSubjectError:
            return

    await gallery_of(request).write(removed)
    return {"success": True}


@api.post("/list", openapi_extra=needs("read"))
async def list_faces(request: Request) -> dict[str, Any]:
    """Everybody's name."""
    names = await gallery_of(request).read(lambda opened: [s.name for s in opened.subjects()])
    return {"success": True, "faces": names}


def _user(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise HttpError(422, "userid not specified")
    return value


def _confidence(value: object) -> float:
    try:
        least = AT_THRESHOLD if value in (None, "") else float(str(value))
    except ValueError:
        least = -1.0
    if not 0 <= least <= 1:
        raise HttpError(422, "min_confidence is not a number from 0 to 1")
    return least


def _prediction(box: Any, name: str, confidence: float) -> dict[str, Any]:
    x1, y1, x2, y2 = (max(0, int(value)) for value in box)
    place = {"x_min": x1, "y_min": y1, "x_max": x2, "y_max": y2}
    return {"userid": name, "confidence": confidence} | place
