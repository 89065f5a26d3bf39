"""The documents of the routes below `/v1/album`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from faceprint.recognition.albums.editor import NAME_LENGTH
from faceprint.server.schemas import Document

__all__ = [
    "AlbumAnswer",
    "AlbumCorrection",
    "AlbumFaceInfo",
    "AlbumPerson",
    "AlbumPhotograph",
    "CorrectionDone",
    "GiveFaces",
    "MergePeople",
    "NamePerson",
    "NotThisPerson",
    "Number",
    "Thumbnails",
]

_MOST_FACES = 10_000

Number = Annotated[int, Field(ge=1, lt=1 << 63)]
_Faces = Annotated[list[Number], Field(min_length=1, max_length=_MOST_FACES)]


class AlbumFaceInfo(Document):
    """A face of the album."""

    id: int = Field(description="stays the same from run to run", examples=[12])
    photograph: str = Field(description="name of its file", examples=["2024-05-01.jpg"])
    box: list[float] = Field(
        min_length=4, max_length=4, description="x1, y1, x2, y2 in pixels of the upright image"
    )
    similarity: float | None = Field(
        None, description="mean to the person's other faces; null if there are none"
    )
    doubtful: bool = Field(False, description="that mean is below the threshold for merging")
    reason: str | None = Field(None, description="why it is unassigned")


class AlbumPerson(Document):
    """Somebody in the album, with the most typical face first."""

    id: int = Field(examples=[3])
    name: str = Field(description="empty without one", examples=["Ada"])
    faces: list[AlbumFaceInfo]


class AlbumAnswer(Document):
    """The album: the most photographed person first."""

    embedder: str
    people: list[AlbumPerson]
    unassigned: list[AlbumFaceInfo]
    missing: int = Field(description="photographs that were not found; their faces are not shown")
    undo: str | None = Field(
        description="the correction that would be undone", examples=["merge Ada with person 2"]
    )


class Thumbnails(Document):
    """Small pictures of faces."""

    thumbnails: dict[str, str] = Field(
        description="data URL of a JPEG by the face's id; faces without one are left out",
        examples=[{"12": "data:image/jpeg;base64,..."}],
    )


class AlbumPhotograph(Document):
    """The photograph of a face."""

    name: str = Field(examples=["2024-05-01.jpg"])
    width: int = Field(description="of the upright photograph, in whose pixels the box is")
    height: int
    box: list[float] = Field(min_length=4, max_length=4)
    image: str = Field(description="data URL of a JPEG, upright, 1600 pixels at most")


class NamePerson(Document):
    """Name somebody; whoever has that name already becomes one with them."""

    kind: Literal["name"]
    person: Number
    name: str = Field(max_length=NAME_LENGTH, description="empty takes the name away")


class MergePeople(Document):
    """Make people one: the first, with all of their faces."""

    kind: Literal["merge"]
    people: list[Number] = Field(min_length=2, max_length=1000)


class NotThisPerson(Document):
    """Take faces out of the people they were taken for."""

    kind: Literal["not_this_person"]
    faces: _Faces


class GiveFaces(Document):
    """Give faces to somebody: a person, or whoever has the name, or somebody new with it."""

    kind: Literal["give"]
    faces: _Faces
    person: Number | None = None
    name: str = Field("", max_length=NAME_LENGTH)


AlbumCorrection = Annotated[
    NamePerson | MergePeople | NotThisPerson | GiveFaces,
    Field(discriminator="kind", examples=[{"kind": "merge", "people": [3, 7]}]),
]


class CorrectionDone(Document):
    """What was stored, or undone."""

    done: str | None = Field(
        description="null where it was so already", examples=["merge Ada with person 2"]
    )
    undo: str | None = Field(description="the correction that would be undone next")
