"""The album: its people, pictures of their faces, and corrections, which are stored at once."""

from __future__ import annotations

import base64
from pathlib import PurePath
from typing import Annotated

from fastapi import APIRouter, Body, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from faceprint.errors import SourceNotFoundError
from faceprint.recognition.albums.editor import AlbumEditor, NothingToUndoError
from faceprint.recognition.albums.people import AlbumFace
from faceprint.recognition.albums.pictures import photograph_of, thumbnails_of
from faceprint.server import album_schemas as schemas
from faceprint.server.access import GuardedRoute, needs
from faceprint.server.album_thread import OpenAlbum
from faceprint.server.openapi import PROBLEMS
from faceprint.server.problems import HttpError
from faceprint.server.service import album_of

__all__ = ["router"]

_MOST_THUMBNAILS = 200

router = APIRouter(route_class=GuardedRoute, responses=PROBLEMS)


@router.get(
    "/v1/album",
    tags=["album"],
    response_model=schemas.AlbumAnswer,
    openapi_extra=needs("read"),
)
async def album(request: Request) -> Response:
    """The people of the album with their faces, and the faces that are nobody's."""

    def shown(opened: OpenAlbum) -> str:
        found = opened.people()
        answer = schemas.AlbumAnswer(
            embedder=found.embedder,
            people=[
                schemas.AlbumPerson(id=p.id, name=p.name, faces=[_face(face) for face in p.faces])
                for p in found.people
            ],
            unassigned=[_face(face) for face in found.unassigned],
            missing=len(found.missing),
            undo=opened.editor.last,
        )
        return answer.model_dump_json()

    # Made in the album's thread: of a large album, it would hold up all other requests.
    return Response(await album_of(request).run(shown), media_type="application/json")


@router.get("/v1/album/thumbnails", tags=["album"], openapi_extra=needs("read"))
async def thumbnails(
    request: Request,
    face: Annotated[
        list[schemas.Number],
        Query(min_length=1, max_length=_MOST_THUMBNAILS, description="id; repeatable"),
    ],
) -> schemas.Thumbnails:
    """Small pictures of faces, many at a time."""
    found = await album_of(request).run(lambda opened: thumbnails_of(opened.file, face))
    return schemas.Thumbnails(thumbnails={str(key): _url(data) for key, data in found.items()})


@router.get("/v1/album/faces/{face}/photograph", tags=["album"], openapi_extra=needs("read"))
async def photograph(
    request: Request, face: Annotated[schemas.Number, Path(description="id of a face")]
) -> schemas.AlbumPhotograph:
    """The photograph that a face is on, if its file still holds what was analyzed."""
    opened = album_of(request)
    found = await opened.run(lambda album: photograph_of(album.file, face))
    if found is None:
        raise HttpError(404, "there is no such face in this album")
    try:
        picture = await opened.picture(found)
    except SourceNotFoundError as error:
        raise HttpError(404, str(error)) from None
    return schemas.AlbumPhotograph(
        name=_file_name(found.source),
        width=picture.width,
        height=picture.height,
        box=list(found.box),
        image=_url(picture.jpeg),
    )


@router.post("/v1/album/corrections", tags=["album"], openapi_extra=needs("write"))
async def correct(
    request: Request, correction: Annotated[schemas.AlbumCorrection, Body()]
) -> schemas.CorrectionDone:
    """Correct the album; the answer arrives once the correction is on disk.

    `faceprint cluster` keeps corrections, as it keeps those of the contact sheet.
    """

    def corrected(opened: OpenAlbum) -> schemas.CorrectionDone:
        done = _apply(opened.editor, correction)
        return schemas.CorrectionDone(done=done, undo=opened.editor.last)

    return await album_of(request).run(corrected)


@router.delete("/v1/album/corrections/last", tags=["album"], openapi_extra=needs("write"))
async def undo(request: Request) -> schemas.CorrectionDone:
    """Undo the last correction that was made since the service started, again and again."""

    def undone(opened: OpenAlbum) -> schemas.CorrectionDone:
        return schemas.CorrectionDone(done=opened.editor.undo(), undo=opened.editor.last)

    try:
        return await album_of(request).run(undone)
    except NothingToUndoError as error:
        raise HttpError(409, str(error)) from None


def _apply(editor: AlbumEditor, correction: schemas.AlbumCorrection) -> str | None:
    match correction:
        case schemas.NamePerson():
            return editor.name(correction.person, correction.name)
        case schemas.MergePeople():
            return editor.merge(correction.people)
        case schemas.NotThisPerson():
            return editor.take_out(correction.faces)
        case schemas.GiveFaces():
            return editor.give(correction.faces, person=correction.person, name=correction.name)


def _face(face: AlbumFace) -> schemas.AlbumFaceInfo:
    assert face.key is not None
    return schemas.AlbumFaceInfo(
        id=face.key,
        photograph=_file_name(face.source),
        box=list(face.box),
        similarity=None if face.similarity is None else round(face.similarity, 4),
        doubtful=face.doubtful,
        reason=face.reason or None,
    )


def _file_name(source: str) -> str:
    """Without its folder: who reads the album need not know how the server's disk is laid out."""
    return PurePath(source).name


def _url(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
