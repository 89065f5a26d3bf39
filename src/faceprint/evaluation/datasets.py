"""Data sets in memory: pictures, and labeled pairs or people over them.

The readers are in `pairs` (pairs.txt, CSV, Parquet), `folders` (one folder per person), `bin_pack`
(InsightFace's .bin) and `recordio` (MXNet's .rec). A picture is read only when it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from faceprint._files import read_bounded
from faceprint._text import decoded
from faceprint.errors import DatasetError
from faceprint.evaluation.person_bootstrap import people_of_pairs

__all__ = ["FileSpan", "LabeledSet", "Pair", "PairSet", "Picture", "read_text"]


@dataclass(frozen=True, slots=True)
class FileSpan:
    """A picture's encoded bytes inside a larger file."""

    path: Path
    offset: int
    size: int

    def read(self) -> bytes:
        """The bytes.

        Raises:
            DatasetError: the file ends before them.
        """
        with self.path.open("rb") as file:
            return self.read_from(file)

    def read_from(self, file: BinaryIO) -> bytes:
        """The bytes, from the open file."""
        file.seek(self.offset)
        data = file.read(self.size)
        if len(data) != self.size:
            raise DatasetError(f"{self.path}: ends inside a picture at byte {self.offset}")
        return data


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a data set: a name for reports, and a file or encoded bytes.

    Attributes:
        name: unique in its data set.
    """

    name: str
    source: Path | bytes | FileSpan

    def read(self) -> bytes:
        """The encoded bytes.

        Raises:
            DatasetError: the file cannot be read.
        """
        if isinstance(self.source, bytes):
            return self.source
        if isinstance(self.source, FileSpan):
            return self.source.read()
        try:
            return self.source.read_bytes()
        except OSError as error:
            raise DatasetError(f"{self.source}: {error.strerror or error}") from error


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures, and whether they show one person."""

    a: Picture
    b: Picture
    mated: bool
    fold: int | None = None
    group: str | None = None


@dataclass(frozen=True, eq=False)
class PairSet:
    """Labeled pairs over a list of pictures.

    Attributes:
        pictures: each once.
        left, right: (n,) int64 indices into `pictures`.
        mated: (n,) bool.
        folds: (n,) int64 fold of each pair, None when the protocol names none.
        groups: a group name for each pair, None without a group column.
        subjects: (pictures,) int64 person numbers where the set names people, else None.
        aligned: the pictures are crops that are aligned already.
        protocol: the file that lists the pairs, None when the pack itself does.
    """

    name: str
    pictures: tuple[Picture, ...]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    mated: NDArray[np.bool_]
    folds: NDArray[np.int64] | None = None
    groups: tuple[str, ...] | None = None
    subjects: NDArray[np.int64] | None = None
    aligned: bool = False
    protocol: Path | None = None

    def __len__(self) -> int:
        return len(self.mated)

    def __iter__(self) -> Iterator[Pair]:
        for i in range(len(self)):
            yield self[i]

    def __getitem__(self, i: int) -> Pair:
        """The i-th pair."""
        return Pair(
            self.pictures[self.left[i]],
            self.pictures[self.right[i]],
            bool(self.mated[i]),
            None if self.folds is None else int(self.folds[i]),
            None if self.groups is None else self.groups[i],
        )

    @cached_property
    def people(self) -> NDArray[np.int64]:
        """(pictures,) person numbers; derived from the mated pairs if the set names no people."""
        if self.subjects is not None:
            return self.subjects
        return people_of_pairs(self.left, self.right, self.mated, len(self.pictures))


@dataclass(frozen=True, slots=True, eq=False)
class LabeledSet:
    """Pictures whose people are known.

    Attributes:
        subjects: (pictures,) int64 indices into `names`.
        names: of the people.
        groups: (people,) the group of each, empty where unknown; None when nobody is labeled.
    """

    name: str
    pictures: Sequence[Picture]
    subjects: NDArray[np.int64]
    names: Sequence[str]
    aligned: bool = False
    groups: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Iterator[tuple[Picture, int]]:
        for i in range(len(self)):
            yield self.pictures[i], int(self.subjects[i])


_MOST_BYTES = 256 << 20


def read_text(path: Path) -> str:
    """The text of a protocol file, without a byte-order mark.

    Raises:
        DatasetError: not readable, too large, or not text.
    """
    try:
        return decoded(read_bounded(path, _MOST_BYTES))
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from error
