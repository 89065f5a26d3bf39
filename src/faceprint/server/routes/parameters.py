"""Parameters that several routes take."""

from __future__ import annotations

from typing import Annotated

from fastapi import File, Query, UploadFile

from faceprint.server.problems import HttpError

__all__ = [
    "Crops",
    "Fmr",
    "Image",
    "Images",
    "MinQuality",
    "Threshold",
    "check_count",
]

_MOST_IMAGES = 200

Image = Annotated[UploadFile, File(description="JPEG, PNG, WebP, TIFF, BMP or GIF")]
Images = Annotated[list[UploadFile], File(description="photographs")]
MinQuality = Annotated[
    float | None,
    Query(ge=0, le=1, description="least quality of a face that decides; 0 decides on all"),
]
Threshold = Annotated[float | None, Query(ge=-1, le=1, description="cosine similarity")]
Fmr = Annotated[float | None, Query(gt=0, lt=1, description="false match rate")]
Crops = Annotated[bool, Query(description="answer the aligned crops")]


def check_count(images: list[UploadFile]) -> None:
    """Raise HttpError 413 for more images than a request may have."""
    if len(images) > _MOST_IMAGES:
        raise HttpError(413, f"at most {_MOST_IMAGES} images in a request")
