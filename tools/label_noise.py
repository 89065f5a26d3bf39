"""Finds photographs that carry a wrong name, by the agreement of several embedders.

A wrong name makes a mated pair that no model should match, or a non-mated pair that every model
should. Either would be counted as an error of the model. One embedder alone cannot tell a wrong
name from its own mistake, so that a photograph is set aside only when all of them agree. How close
a similarity is counts by how rare it is among the data's pairs of two names: "1 in 100" is the
similarity that one such pair in 100 reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceprint.errors import UsageError
from faceprint.evaluation.datasets import read_text

__all__ = ["Reason", "SetAside", "find_wrong_names", "read_aside", "write_aside"]

Reason = Literal["like none of its name", "like another name", "one picture, two names"]

COMMON = 1e-2
"""A photograph is like none of its name when its closest mate is no closer than the strangers that
1 in 100 pairs shows."""

RARE = 1e-4
"""It is like another name when it is as close to that as 1 in 10,000 pairs is or closer, ..."""

MARGIN = 10.0
"""... and this many times rarer than the similarity to its closest mate."""

_CHUNK = 1024


@dataclass(frozen=True, slots=True)
class SetAside:
    """A photograph that is left out.

    Attributes:
        index: its place in the data set; `picture`: its name there.
    """

    index: int
    picture: str
    reason: Reason


def find_wrong_names(
    embeddings: Sequence[ArrayLike], subjects: ArrayLike, pictures: Sequence[str]
) -> tuple[SetAside, ...]:
    """The photographs whose name all embedders find wrong.

    - "like none of its name": the closest photograph of the same name is no closer than `COMMON`.
      Where a name has two photographs, both are set aside, since either may be the wrong one.
    - "like another name": the closest photograph of all others is of one and the same other name by
      every embedder, at `RARE` or rarer, and `MARGIN` times rarer than the closest mate.
    - "one picture, two names": two photographs of two names, neither of them set aside so far, are
      closer than half of all mated pairs. Both are set aside.

    Args:
        embeddings: of each embedder, (n, d) unit rows of the same n photographs.
        subjects: (n,) person numbers.
        pictures: (n,) names of the photographs.

    Raises:
        UsageError: fewer than two embedders, shapes that do not fit, or no pairs of both kinds.
    """
    who = np.asarray(subjects, np.int64)
    rows = [np.asarray(each, np.float32) for each in embeddings]
    if len(rows) < 2:
        raise UsageError("wrong names take two embedders or more; one cannot tell its own mistakes")
    if who.shape != (len(pictures),) or any(len(each) != len(who) for each in rows):
        raise UsageError("embeddings, subjects and pictures differ in length")
    seen = [_closest(each, who) for each in rows]
    lonely = np.all([each.mate >= COMMON for each in seen], axis=0) & seen[0].has_mate
    names = np.stack([who[each.stranger_at] for each in seen])
    agreed = (names == names[0]).all(axis=0)
    nearer = [
        (each.stranger <= RARE) & (each.stranger * MARGIN <= each.mate) & each.has_mate
        for each in seen
    ]
    elsewhere = agreed & np.all(nearer, axis=0)
    twins = np.zeros(len(who), np.bool_)
    left = ~(lonely | elsewhere)
    doubles = seen[0].doubles.intersection(*(each.doubles for each in seen[1:]))
    for a, b in doubles:
        if left[a] and left[b]:
            twins[[a, b]] = True
    found: list[SetAside] = []
    for i in np.flatnonzero(lonely | elsewhere | twins).tolist():
        reason: Reason = "one picture, two names"
        if not twins[i]:
            reason = "like another name" if elsewhere[i] else "like none of its name"
        found.append(SetAside(i, pictures[i], reason))
    return tuple(found)


def write_aside(path: Path, found: Sequence[SetAside], heading: Sequence[str]) -> None:
    """A line for each photograph: its name, a tab, the reason; first the heading, behind "#"."""
    lines = [f"# {line}" for line in heading]
    lines += [f"{each.picture}\t{each.reason}" for each in found]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def read_aside(path: Path) -> frozenset[str]:
    """The names of the photographs in a file that `write_aside` wrote.

    Raises:
        DatasetError: the file cannot be read.
    """
    text = read_text(path).splitlines()
    lines = (line.partition("\t")[0].strip() for line in text if line[:1] != "#")
    return frozenset(line for line in lines if line)


@dataclass(frozen=True, slots=True, eq=False)
class _Closest:
    """What one embedder finds.

    Attributes:
        has_mate: (n,) whether there is another photograph of the name.
        mate: (n,) how rare the similarity to the closest mate is, 0..1; 1 without a mate.
        stranger: (n,) the same for the closest photograph of another name, at `stranger_at`.
        doubles: pairs of two names that are closer than half of the mated pairs.
    """

    has_mate: NDArray[np.bool_]
    mate: NDArray[np.float64]
    stranger: NDArray[np.float64]
    stranger_at: NDArray[np.int64]
    doubles: frozenset[tuple[int, int]]


def _closest(rows: NDArray[np.float32], who: NDArray[np.int64]) -> _Closest:
    n = len(rows)
    mate, stranger = np.full((2, n), -2.0, np.float32)
    at = np.zeros(n, np.int64)
    mated: list[NDArray[np.float32]] = []
    others: list[NDArray[np.float32]] = []
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        scores = rows[part] @ rows.T
        same = who[part, None] == who[None]
        later = np.arange(n)[None] > np.arange(start, start + len(scores))[:, None]
        mated.append(scores[same & later])
        others.append(scores[~same & later])
        itself = np.arange(start, start + len(scores))
        apart = np.where(same, np.float32(-2), scores)
        same[np.arange(len(scores)), itself] = False
        mate[part] = np.where(same, scores, np.float32(-2)).max(axis=1)
        stranger[part], at[part] = apart.max(axis=1), apart.argmax(axis=1)
    genuine, falling = np.concatenate(mated), np.sort(np.concatenate(others))[::-1]
    if not len(genuine) or not len(falling):
        raise UsageError("wrong names are found only among people of whom some have two pictures")
    half = float(np.median(genuine))
    doubles = []
    for start in range(0, n, _CHUNK):
        scores = rows[start : start + _CHUNK] @ rows.T
        a, b = np.nonzero((scores > half) & (who[start : start + _CHUNK, None] != who[None]))
        doubles += [
            (i + start, j) for i, j in zip(a.tolist(), b.tolist(), strict=True) if i + start < j
        ]
    has_mate = mate > -2
    rarity = [
        np.searchsorted(-falling, -values, side="right") / len(falling)
        for values in (mate, stranger)
    ]
    return _Closest(has_mate, np.where(has_mate, rarity[0], 1.0), rarity[1], at, frozenset(doubles))
