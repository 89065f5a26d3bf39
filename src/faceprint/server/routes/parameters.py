"""Parameters that several routes take, and the refusals that all of them may answer."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import File, Query, UploadFile

from faceprint.server.problems import HttpError

__all__ = [
    "PROBLEMS",
    "Crops",
    "Fmr",
    "Image",
    "Images",
    "MinQuality",
    "Threshold",
    "check_count",
]

PROBLEMS: dict[int | str, dict[str, Any]] = {
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
