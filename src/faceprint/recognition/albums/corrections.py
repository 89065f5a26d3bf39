"""The owner's corrections of an album, and the faces they name."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from faceprint.errors import UsageError
from faceprint.geometry import iou_matrix
from faceprint.recognition.albums.photographs import real_path
from faceprint.recognition.clustering.constraints import FaceConstraints, merged_sets
from faceprint.types import Array

__all__ = ["Corrections", "FaceKey", "connected_faces", "find_faces", "locate_corrections"]

_SAME_BOX = 0.5


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
        """Both, without duplicates."""
        return Corrections(
            tuple(dict.fromkeys(self.must_link + other.must_link)),
            tuple(dict.fromkeys(self.cannot_link + other.cannot_link)),
            tuple(dict.fromkeys(self.names + other.names)),
        )


def locate_corrections(
    corrections: Corrections, sources: Sequence[str], boxes: Array
) -> tuple[FaceConstraints, list[tuple[int, str]], list[FaceKey]]:
    """Corrections by row: constraints, names, and the faces that were not found.

    Args:
        sources, boxes: (n,) photographs and (n, 4) boxes of the faces.

    Raises:
        UsageError: two faces must and must not be one person.
    """
    keys = [key for pair in (*corrections.must_link, *corrections.cannot_link) for key in pair]
    rows = find_faces([*keys, *(key for key, _ in corrections.names)], sources, boxes)

    def located(pairs: Iterable[tuple[FaceKey, FaceKey]]) -> tuple[tuple[int, int], ...]:
        found = ((rows[a], rows[b]) for a, b in pairs)
        return tuple((a, b) for a, b in found if a is not None and b is not None and a != b)

    constraints = FaceConstraints(located(corrections.must_link), located(corrections.cannot_link))
    groups = connected_faces(constraints.must_link)
    if any(a in groups and groups[a] == groups.get(b) for a, b in constraints.cannot_link):
        raise UsageError(
            "the corrections contradict each other: two faces must and must not be one person"
        )
    names = ((rows[key], name) for key, name in corrections.names)
    missing = [key for key, row in rows.items() if row is None]
    return constraints, [(row, name) for row, name in names if row is not None], missing


def connected_faces(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    """The number of the connected component of each face in `pairs`."""
    pairs = list(pairs)
    faces = sorted({face for pair in pairs for face in pair})
    place = {face: i for i, face in enumerate(faces)}
    groups = merged_sets(len(faces), [(place[a], place[b]) for a, b in pairs])
    return {face: int(groups[i]) for face, i in place.items()}


def find_faces(
    keys: Iterable[FaceKey], sources: Sequence[str], boxes: Array
) -> dict[FaceKey, int | None]:
    """The row of each face: in its photograph, with the box of highest IoU, 0.5 or more; else None.

    A photograph is found by its name in the album, by the path of the same file, or by a name that
    only one path ends in: `2024/a.jpg` of `/home/ada/2024/a.jpg`.
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
