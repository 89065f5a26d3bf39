"""The subjects of the gallery and their templates."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from faceprint.errors import UnknownSubjectError, UsageError
from faceprint.recognition.gallery.enrollment import EnrollOptions
from faceprint.recognition.gallery.gallery import Gallery
from faceprint.recognition.gallery.records import Consent, Skipped, Subject, TemplateRow
from faceprint.server import schemas
from faceprint.server.access import GuardedRoute, needs
from faceprint.server.openapi import PROBLEMS
from faceprint.server.problems import HttpError, for_clients
from faceprint.server.routes.parameters import Images, check_count
from faceprint.server.service import gallery_of

__all__ = ["router"]

_PAGE_SIZE = 100

router = APIRouter(route_class=GuardedRoute, responses=PROBLEMS)


@router.get("/v1/subjects", tags=["gallery"], openapi_extra=needs("read"))
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

    return await gallery_of(request).read(listed)


@router.post(
    "/v1/subjects",
    tags=["gallery"],
    status_code=201,
    openapi_extra=needs("write"),
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


@router.get("/v1/subjects/{id}", tags=["gallery"], openapi_extra=needs("read"))
async def subject(request: Request, id: str) -> schemas.SubjectDetails:
    """Somebody, and the templates that they have."""

    def shown(opened: Gallery) -> schemas.SubjectDetails:
        found, rows = opened.show(opened.subject_by_uid(id).name)
        return schemas.SubjectDetails(
            **_subject(found).model_dump(), items=[_template(row) for row in rows]
        )

    return await gallery_of(request).read(shown)


@router.patch(
    "/v1/subjects/{id}",
    tags=["gallery"],
    openapi_extra=needs("write"),
)
async def update(request: Request, id: str, change: schemas.SubjectUpdate) -> schemas.SubjectInfo:
    """Replace the name, the metadata or the consent of somebody."""
    consent = None if change.consent is None else _consent(change.consent.model_dump())

    def updated(opened: Gallery) -> schemas.SubjectInfo:
        subject = opened.subject_by_uid(id)
        if change.name is not None and change.name != subject.name:
            if _exists(opened, change.name):
                raise HttpError(409, "another subject has this name")
            subject = opened.rename(subject.name, change.name)
        if change.metadata is not None or consent is not None:
            subject = opened.update(subject.name, metadata=change.metadata, consent=consent)
        return _subject(subject)

    return await gallery_of(request).write(updated)


@router.delete(
    "/v1/subjects/{id}",
    tags=["gallery"],
    status_code=204,
    openapi_extra=needs("write"),
)
async def remove(request: Request, id: str) -> Response:
    """Remove somebody, and every byte of their templates."""
    await gallery_of(request).write(lambda opened: opened.remove(opened.subject_by_uid(id).name))
    return Response(status_code=204)


@router.post(
    "/v1/subjects/{id}/templates",
    tags=["gallery"],
    status_code=201,
    openapi_extra=needs("write"),
)
async def add_templates(request: Request, id: str, images: Images) -> schemas.EnrollAnswer:
    """Enroll more photographs of somebody."""
    name = await gallery_of(request).read(lambda opened: opened.subject_by_uid(id).name)
    return await _enroll(request, name, images, EnrollOptions())


@router.delete(
    "/v1/subjects/{id}/templates/{template}",
    tags=["gallery"],
    status_code=204,
    openapi_extra=needs("write"),
)
async def remove_template(request: Request, id: str, template: str) -> Response:
    """Remove one template."""

    def removed(opened: Gallery) -> None:
        _, rows = opened.show(opened.subject_by_uid(id).name)
        if template not in {row.id for row in rows}:
            raise UnknownSubjectError(f"there is no template {template} of this subject")
        opened.remove_template(template)

    await gallery_of(request).write(removed)
    return Response(status_code=204)


async def _enroll(
    request: Request, name: str, images: list[UploadFile], options: EnrollOptions
) -> schemas.EnrollAnswer:
    check_count(images)
    labels = [image.filename or f"image {number}" for number, image in enumerate(images, 1)]
    contents = [await image.read() for image in images]

    def enrolled(opened: Gallery) -> schemas.EnrollAnswer:
        outcomes = list(opened.enroll_many(((name, content) for content in contents), options))
        results = [
            schemas.EnrollmentResult(
                source=label, template=None, new=False, reason=for_clients(outcome.reason)
            )
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

    return await gallery_of(request).write(enrolled)


def _exists(opened: Gallery, name: str) -> bool:
    try:
        opened.show(name)
    except UnknownSubjectError:
        return False
    return True


def _subject(subject: Subject) -> schemas.SubjectInfo:
    consent = subject.consent
    return schemas.SubjectInfo(
        id=subject.uid,
        name=subject.name,
        metadata=dict(subject.metadata),
        consent=None if consent is None else schemas.ConsentInfo(**asdict(consent)),
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
    if values.get("given") is None:
        values = values | {"given": datetime.now(UTC).date().isoformat()}
    return Consent(**values)
