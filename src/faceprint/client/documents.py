"""From the service's JSON to the values of the Python API, and from photographs to uploads."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from faceprint.errors import DecodeError, ServiceError, SourceNotFoundError
from faceprint.recognition.gallery.records import Consent, Enrolled, Outcome, Skipped, Subject
from faceprint.types import (
    Embedding,
    Face,
    Identification,
    Image,
    Match,
    Measurement,
    OperatingPoint,
    Quality,
    Verification,
)
from faceprint.vision.images import ImageSource, decode, describe

__all__ = [
    "read_answer",
    "read_box",
    "read_face",
    "read_identification",
    "read_outcome",
    "read_subject",
    "read_subjects",
    "read_verification",
    "upload",
]

Document = Mapping[str, Any]
Result = TypeVar("Result")


def _encoded(source: ImageSource) -> bytes:
    """The bytes of a photograph: a file as it is; pixels as PNG, which loses nothing.

    Raises:
        DecodeError: a path that can't be read, or a PIL image that can't be decoded.
        InvalidImageArrayError: an array that is not RGB uint8 of shape (H, W, 3).
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        try:
            return Path(source).read_bytes()
        except FileNotFoundError as error:
            raise SourceNotFoundError(f"{describe(source)}: no such file") from error
        except (OSError, ValueError) as error:
            raise DecodeError(f"{describe(source)}: {error}") from error
    _, png = cv2.imencode(".png", decode(source)[:, :, ::-1])
    return png.tobytes()


def upload(field: str, image: ImageSource, name: str = "image") -> tuple[str, tuple[str, bytes]]:
    """A photograph as a part of a form; raises what `decode` raises where it can't be read."""
    return field, (name, _encoded(image))


def read_box(values: list[float]) -> tuple[float, float, float, float]:
    """x1, y1, x2, y2."""
    x1, y1, x2, y2 = (float(value) for value in values)
    return x1, y1, x2, y2


def read_face(entry: Document, embedder: str = "") -> Face:
    """A face; its embedding and crop where the service sent them."""
    landmarks, vector, crop = entry["landmarks"], entry["embedding"], entry["crop"]
    return Face(
        box=np.asarray(entry["box"], np.float32),
        score=float(entry["score"]),
        landmarks=None if landmarks is None else np.asarray(landmarks, np.float32),
        quality=None if entry["quality"] is None else Quality(**entry["quality"]),
        embedding=None
        if vector is None
        else Embedding(np.asarray(vector, np.float32), embedder, float(entry["norm"])),
        crop=None if crop is None else _pixels(crop),
    )


def read_verification(document: Document) -> Verification:
    """The answer of a comparison."""
    first, second = document["faces"]
    point = OperatingPoint(
        threshold=float(document["threshold"]),
        fmr=document["fmr"],
        fmr_low=document["fmr_low"],
        fmr_high=document["fmr_high"],
        name=document["operating_point"],
        source=document["source"] or "",
        evidence=document["evidence"],
        measurements=tuple(Measurement(**item) for item in document["measured_on"]),
    )
    return Verification(
        similarity=float(document["similarity"]),
        threshold=point.threshold,
        operating_point=point,
        faces=(read_face(first), read_face(second)),
        face_counts=(int(first["face_count"]), int(second["face_count"])),
        pack=document["pack"],
        embedder=document["embedder"],
        rarity=document["rarity"],
        probability=document["probability"],
        prior=document["prior"],
        reason=document["reason"] or "",
    )


def read_identification(document: Document, entry: Document) -> Identification:
    """Who one face of a photograph is.

    Args:
        document: the answer for the photograph.
        entry: that face in it.
    """
    threshold = float(entry["threshold"])
    point = OperatingPoint(threshold, name=document["operating_point"], evidence=entry["evidence"])
    candidates = tuple(Match(**candidate) for candidate in entry["candidates"])
    return Identification(candidates, threshold, point, entry["reason"] or "")


def read_subject(entry: Document) -> Subject:
    """Somebody in the gallery."""
    consent = entry["consent"]
    return Subject(
        name=entry["name"],
        uid=entry["id"],
        metadata=entry["metadata"],
        consent=None if consent is None else Consent(**consent),
        created=entry["created"],
        templates=int(entry["templates"]),
    )


def read_outcome(entry: Document, subject: str, source: str) -> Outcome:
    """What became of one photograph."""
    if entry["template"] is None:
        return Skipped(subject, source, entry["reason"])
    return Enrolled(subject, entry["template"], source, bool(entry["new"]))


def _pixels(url: str) -> Image:
    png = base64.b64decode(url.partition(",")[2], validate=True)
    return decode(png)


def read_subjects(page: Document) -> tuple[list[Subject], str | None]:
    """A page of subjects, and where the next one begins."""
    return [read_subject(entry) for entry in page["subjects"]], page["next"]


def read_answer(build: Callable[[], Result]) -> Result:
    """What `build` makes; a ServiceError if the document is not one of faceprint's."""
    try:
        return build()
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ServiceError(
            f"this is not an answer of faceprint ({type(error).__name__}: {error})"
        ) from error
