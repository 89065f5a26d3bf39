"""What the owner of an album said about it, as a file.

JSON, as the contact sheet downloads it; a face is its photograph and its box:

    {"format": "faceprint-corrections/1",
     "must_link":   [[{"source": "a.jpg", "box": [10, 20, 90, 110]}, {"source": ..., "box": ...}]],
     "cannot_link": [[face, face]],
     "names":       [[face, "Ada"]]}

In `cannot_link` the first face is the one that does not belong. CSV has one pair a line under the
heading `source_a,box_a,source_b,box_b`, a box as four numbers with spaces between.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from faceprint._files import read_bounded
from faceprint._text import decoded, printable
from faceprint.errors import InputError, SourceNotFoundError
from faceprint.geometry import iou_matrix
from faceprint.recognition.albums.photographs import real_path
from faceprint.types import Array

__all__ = ["FORMAT", "Corrections", "FaceKey", "find_faces", "read_corrections"]

FORMAT = "faceprint-corrections/1"
_SAME_BOX = 0.5
_MOST_BYTES = 256 << 20

Kind = Literal["must_link", "cannot_link"]


@dataclass(frozen=True, slots=True)
class FaceKey:
    """A face by its photograph and its box, x1 y1 x2 y2 in pixels."""

    source: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Corrections:
    """Pairs that are one person, pairs that are two, and names."""

    must_link: tuple[tuple[FaceKey, FaceKey], ...] = ()
    cannot_link: tuple[tuple[FaceKey, FaceKey], ...] = ()
    names: tuple[tuple[FaceKey, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.must_link or self.cannot_link or self.names)

    def __or__(self, other: Corrections) -> Corrections:
        """Both, each once."""
        return Corrections(
            tuple(dict.fromkeys(self.must_link + other.must_link)),
            tuple(dict.fromkeys(self.cannot_link + other.cannot_link)),
            tuple(dict.fromkeys(self.names + other.names)),
        )


def read_corrections(path: Path, kind: Kind | None = None) -> Corrections:
    """Read a corrections file.

    Args:
        kind: take this section alone (names come along with `must_link`); None takes all of a JSON
            file. A CSV file holds pairs of one kind, which must be said.

    Raises:
        SourceNotFoundError: no such file.
        InputError: it is not a corrections file; says where.
    """
    try:
        text = printable(decoded(read_bounded(path, _MOST_BYTES)))
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


def find_faces(
    keys: Iterable[FaceKey], sources: Sequence[str], boxes: Array
) -> dict[FaceKey, int | None]:
    """The row of each face: in that photograph, with the box that overlaps most, by half at least.

    A photograph is found by the name it has in the album, by the path of the same file, or by a
    name that is the end of one path alone: `2024/a.jpg` of `/home/ada/2024/a.jpg`.
    """
    rows: dict[str, list[int]] = defaultdict(list)
    for row, source in enumerate(sources):
        rows[source].append(row)
    paths: dict[str, list[int]] = {}
    found: dict[FaceKey, int | None] = {}
    for key in keys:
        if key.source not in rows and not paths:
            paths = {real_path(source): own for source, own in rows.items()}
        own = rows.get(key.source) or paths.get(real_path(key.source)) or []
        own = own or _by_ending(key.source, paths)
        found[key] = None
        if own:
            overlap = iou_matrix(np.asarray([key.box], np.float32), boxes[own])[0]
            best = int(overlap.argmax())
            if overlap[best] >= _SAME_BOX:
                found[key] = own[best]
    return found


def _by_ending(name: str, paths: Mapping[str, list[int]]) -> list[int]:
    end = os.sep + os.path.normpath(name)
    matches = [] if end.startswith(f"{os.sep}..") else [p for p in paths if p.endswith(end)]
    return paths[matches[0]] if len(matches) == 1 else []


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
    wanted = ["source_a", "box_a", "source_b", "box_b"]
    if reader.fieldnames is None or not set(wanted) <= set(reader.fieldnames):
        raise InputError(f"{path}: the heading is not {','.join(wanted)}")
    pairs = []
    for line in reader:
        values = [line[name] or "" for name in wanted]
        pairs.append(
            (
                FaceKey(values[0], _box(values[1].split(), path)),
                FaceKey(values[2], _box(values[3].split(), path)),
            )
        )
    return tuple(pairs)
