"""Pictures of an album for showing: thumbnails of faces, and the photographs they are on."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from faceprint._files import file_of, read_bounded
from faceprint.errors import SourceNotFoundError
from faceprint.recognition.albums.store import AlbumFile
from faceprint.vision.images import decode
from faceprint.vision.limits import default_limits

__all__ = ["FacePhotograph", "Picture", "photograph_of", "read_photograph", "thumbnails_of"]


@dataclass(frozen=True, slots=True)
class FacePhotograph:
    """The photograph that a face is on.

    Attributes:
        source: its path.
        digest: SHA-256 of its content when it was analyzed; None if it was no file here.
        box: of the face, x1 y1 x2 y2 in pixels of the upright photograph.
    """

    source: str
    digest: bytes | None
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Picture:
    """A photograph for a screen.

    Attributes:
        jpeg: upright and perhaps smaller, without what its file says of place and time.
        width, height: of the upright photograph, in pixels.
    """

    jpeg: bytes
    width: int
    height: int


def thumbnails_of(album: AlbumFile, faces: Iterable[int]) -> dict[int, bytes]:
    """JPEGs of faces by key; faces without one, and unknown ones, are left out."""
    found = {}
    for face in faces:
        for (data,) in album.rows("SELECT thumbnail FROM faces WHERE key = ?", (face,)):
            if isinstance(data, bytes):
                found[face] = data
    return found


def photograph_of(album: AlbumFile, face: int) -> FacePhotograph | None:
    """The photograph of a face; None for an unknown face."""
    rows = album.rows(
        "SELECT source, digest, box FROM faces JOIN photos ON photos.key = photo "
        "WHERE faces.key = ?",
        (face,),
    )
    if not rows:
        return None
    source, digest, box = rows[0]
    x1, y1, x2, y2 = (round(float(v), 2) for v in np.frombuffer(box, "<f4"))  # type: ignore[call-overload]
    return FacePhotograph(str(source), digest, (x1, y1, x2, y2))  # type: ignore[arg-type]


def read_photograph(photograph: FacePhotograph, longest_side: int) -> Picture:
    """Read a photograph, if the file still holds what was analyzed.

    Nothing else is read out of a file, whatever path an album holds: its content must have the
    album's SHA-256 and decode as a photograph.

    Raises:
        SourceNotFoundError: there is no such file any more, or its content is another.
        DecodeError: it is no photograph, or too large.
    """
    gone = SourceNotFoundError("the photograph is no longer where it was")
    if photograph.digest is None:
        raise gone
    try:
        data = read_bounded(file_of(photograph.source), default_limits().max_bytes)
    except (OSError, ValueError):
        raise gone from None
    if hashlib.sha256(data).digest() != photograph.digest:
        raise SourceNotFoundError("the photograph was changed since it was analyzed")
    import PIL.Image

    image = decode(data)
    picture = PIL.Image.fromarray(image)
    picture.thumbnail((longest_side, longest_side))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    height, width = image.shape[:2]
    return Picture(out.getvalue(), width, height)
