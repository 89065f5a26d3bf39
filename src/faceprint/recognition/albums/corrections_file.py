"""The format of a corrections file.

JSON, as the contact sheet downloads it; a face is its photograph and its box:

    {"format": "faceprint-corrections/1",
     "must_link":   [[{"source": "a.jpg", "box": [10, 20, 90, 110]}, {"source": ..., "box": ...}]],
     "cannot_link": [[face, face]],
     "names":       [[face, "Ada"]]}

In `cannot_link` the first face is the one that does not belong. CSV has one pair per line under the
heading `source_a,box_a,source_b,box_b`, a box as four numbers separated by spaces.
"""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any, Literal

from faceprint._files import read_bounded
from faceprint._text import decoded, printable
from faceprint.errors import InputError, SourceNotFoundError
from faceprint.recognition.albums.corrections import Corrections, FaceKey

__all__ = ["FORMAT", "read_corrections"]

FORMAT = "faceprint-corrections/1"
_MAX_BYTES = 256 << 20


def read_corrections(
    path: Path, kind: Literal["must_link", "cannot_link"] | None = None
) -> Corrections:
    """Read a corrections file.

    Args:
        kind: read only this section (`must_link` includes the names); None reads all of a JSON
            file. A CSV file needs a kind.

    Raises:
        SourceNotFoundError: no such file.
        InputError: it is not a corrections file; says why.
    """
    try:
        text = printable(decoded(read_bounded(path, _MAX_BYTES)))
    except FileNotFoundError as error:
        raise SourceNotFoundError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: can't be read as text: {error}") from error
    if path.suffix.lower() == ".csv":
        if kind is None:
            raise InputError(f"{path}: give a CSV file as must-link or cannot-link")
        pairs = _from_csv(text, path)
        return Corrections(pairs) if kind == "must_link" else Corrections(cannot_link=pairs)
    found = _from_json(text, path)
    if kind == "must_link":
        return Corrections(must_link=found.must_link, names=found.names)
    if kind == "cannot_link":
        return Corrections(cannot_link=found.cannot_link)
    return found


def _from_json(text: str, path: Path) -> Corrections:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(f"{path}: not a corrections file (its format is not {FORMAT})")

    def section(name: str) -> list[Any]:
        entries = document.get(name, [])
        if not isinstance(entries, list) or any(
            not isinstance(entry, list) or len(entry) != 2 for entry in entries
        ):
            raise InputError(f"{path}: {name} is not a list of pairs")
        return entries

    def pairs(name: str) -> tuple[tuple[FaceKey, FaceKey], ...]:
        return tuple((_face(a, path), _face(b, path)) for a, b in section(name))

    names = []
    for face, name in section("names"):
        if not isinstance(name, str) or not name.strip() or len(name) > 200:
            raise InputError(f"{path}: {name!r} is not a name")
        names.append((_face(face, path), printable(name.strip())))
    return Corrections(pairs("must_link"), pairs("cannot_link"), tuple(names))


def _face(entry: Any, path: Path) -> FaceKey:
    if not isinstance(entry, dict) or not isinstance(entry.get("source"), str):
        raise InputError(f"{path}: a face is an object with source and box, not {entry!r:.80}")
    return FaceKey(printable(entry["source"]), _box(entry.get("box"), path))


def _box(values: Any, path: Path) -> tuple[float, float, float, float]:
    if isinstance(values, list) and len(values) == 4:
        try:
            x1, y1, x2, y2 = (float(v) for v in values)
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: {values!r} is not a box") from error
        if all(math.isfinite(v) for v in (x1, y1, x2, y2)) and x2 > x1 and y2 > y1:
            return x1, y1, x2, y2
    raise InputError(f"{path}: {values!r:.80} is not a box x1 y1 x2 y2")


def _from_csv(text: str, path: Path) -> tuple[tuple[FaceKey, FaceKey], ...]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = ["source_a", "box_a", "source_b", "box_b"]
    if reader.fieldnames is None or not set(columns) <= set(reader.fieldnames):
        raise InputError(f"{path}: the heading is not {','.join(columns)}")
    pairs = []
    for line in reader:
        values = [line[name] or "" for name in columns]
        pairs.append(
            (
                FaceKey(values[0], _box(values[1].split(), path)),
                FaceKey(values[2], _box(values[3].split(), path)),
            )
        )
    return tuple(pairs)
