"""`faceprint enroll --as N=NAME`: people of one photograph by the numbers of their faces."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from faceprint._text import printable
from faceprint.errors import InputError, UsageError

if TYPE_CHECKING:
    from faceprint.recognition.gallery import FaceAt
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["named_faces", "names_by_number"]


def names_by_number(texts: Sequence[str]) -> dict[int, str]:
    """The names of `--as N=NAME`, by the number of the face.

    Raises:
        UsageError: not of that form, or a number or name is there twice.
    """
    names: dict[int, str] = {}
    for text in texts:
        found = re.fullmatch("([1-9][0-9]{0,8})=(.+)", text, re.DOTALL)
        if found is None:
            raise UsageError(
                f"--as {text!r} is not N=NAME, such as 2=ada; a photograph of one person is "
                "enrolled by: faceprint enroll GALLERY NAME PHOTO"
            )
        number, name = int(found[1]), printable(found[2])
        if number in names or name in names.values():
            raise UsageError(f"--as {text!r}: each face and each name is given once")
        names[number] = name
    return names


def named_faces(
    fp: FaceAnalyzer, photograph: Path, names: dict[int, str]
) -> list[tuple[str, FaceAt]]:
    """Subjects and their faces, for `Gallery.enroll_many`.

    Raises:
        InputError: the photograph can't be used, or has no face of a number.
    """
    from faceprint.recognition.gallery import FaceAt

    faces = fp.analyze(photograph, embed=False)
    missing = [number for number in names if number > len(faces)]
    if missing:
        raise InputError(
            f"{photograph}: there is no face {missing[0]}; {len(faces)} found. faceprint detect "
            f"{photograph} --draw DIR draws their numbers"
        )
    pairs = []
    for number, name in names.items():
        x1, y1, x2, y2 = (float(value) for value in faces[number - 1].box)
        pairs.append((name, FaceAt(photograph, (x1, y1, x2, y2))))
    return pairs
