"""Whether two sides found the same: faces matched by boxes, landmarks and embeddings compared.

A ratio of times says nothing of sides that do different work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["agreement", "match"]

_OVERLAP = 0.5
Face = dict[str, Any]


def match(ours: Sequence[Face], theirs: Sequence[Face]) -> list[tuple[int, int]]:
    """Pairs of indices, each face in one at most, largest overlap first, all above a half."""
    overlap = _overlaps(_boxes(ours), _boxes(theirs))
    pairs = []
    while overlap.size and overlap.max() > _OVERLAP:
        row, column = divmod(int(overlap.argmax()), overlap.shape[1])
        pairs.append((row, column))
        overlap[row], overlap[:, column] = 0, 0
    return pairs


def agreement(ours: Sequence[Sequence[Face]], theirs: Sequence[Sequence[Face]]) -> dict[str, Any]:
    """Counts over all photographs; cosines and landmark distances over the matched faces.

    Landmark distances are means over five points, in shares of the box's longer side.
    """
    cosines, distances, matched = [], [], 0
    for mine, other in zip(ours, theirs, strict=True):
        for row, column in match(mine, other):
            matched += 1
            a, b = mine[row], other[column]
            if a.get("vector") and b.get("vector") and len(a["vector"]) == len(b["vector"]):
                cosines.append(_cosine(np.asarray(a["vector"]), np.asarray(b["vector"])))
            if a.get("points") and b.get("points"):
                apart = np.asarray(a["points"]) - np.asarray(b["points"])
                x1, y1, x2, y2 = a["box"]
                side = max(x2 - x1, y2 - y1, 1e-3)
                distances.append(float(np.linalg.norm(apart, axis=1).mean()) / side)
    found: dict[str, Any] = {
        "photographs": len(ours),
        "faces_ours": sum(map(len, ours)),
        "faces_theirs": sum(map(len, theirs)),
        "matched": matched,
    }
    if cosines:
        found["cosine_mean"] = round(float(np.mean(cosines)), 4)
        found["cosine_1_in_20_below"] = round(float(np.quantile(cosines, 0.05)), 4)
    if distances:
        found["landmarks_apart_median"] = round(float(np.median(distances)), 4)
    return found


def _boxes(faces: Sequence[Face]) -> NDArray[np.float64]:
    return np.asarray([face["box"] for face in faces], np.float64).reshape(-1, 4)


def _overlaps(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
    corner = np.maximum(ours[:, None, :2], theirs[None, :, :2])
    far = np.minimum(ours[:, None, 2:], theirs[None, :, 2:])
    shared = np.maximum(far - corner, 0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (ours, theirs)]
    return np.asarray(shared / np.maximum(areas[0][:, None] + areas[1] - shared, 1e-9))


def _cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
