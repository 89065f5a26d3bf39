"""Reads lists of pairs: LFW's pairs.txt, and tables in CSV or Parquet."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from faceprint._optional import require
from faceprint._text import printable
from faceprint.errors import DatasetError
from faceprint.evaluation.datasets import PairSet, Picture, read_text
from faceprint.vision.sources import IMAGE_SUFFIXES

__all__ = ["open_lfw", "open_pair_table"]

_DIGITS = 18
"""Digits that a number in a list may have."""

_MATED = {"1", "true", "yes", "same", "mated", "genuine"}
_NON_MATED = {"0", "false", "no", "different", "non-mated", "impostor"}


@dataclass(slots=True)
class _Gathered:
    """Collects pairs; pictures and people are numbered in order of appearance."""

    pictures: dict[str, Picture] = field(default_factory=dict)
    number: dict[str, int] = field(default_factory=dict)
    people: dict[str, int] = field(default_factory=dict)
    subjects: list[int] = field(default_factory=list)
    rows: list[tuple[int, int, bool]] = field(default_factory=list)

    def add(self, name: str, path: Path, person: str | None, where: str) -> int:
        i = self.number.setdefault(name, len(self.number))
        subject = -1 if person is None else self.people.setdefault(person, len(self.people))
        if i == len(self.subjects):
            self.pictures[name] = Picture(name, path)
            self.subjects.append(subject)
        elif self.subjects[i] != subject:
            raise DatasetError(f"{where}: {name} is another person here than in a line above")
        return i

    def pair_set(self, root: Path, protocol: Path, **more: object) -> PairSet:
        left, right, mated = zip(*self.rows, strict=True)
        subjects = np.asarray(self.subjects, np.int64)
        return PairSet(
            name=printable(root.name),
            pictures=tuple(self.pictures.values()),
            left=np.asarray(left, np.int64),
            right=np.asarray(right, np.int64),
            mated=np.asarray(mated, np.bool_),
            subjects=None if (subjects < 0).any() else subjects,
            protocol=protocol,
            **more,  # type: ignore[arg-type]
        )


def open_lfw(root: Path, pairs: Path, *, aligned: bool = False) -> PairSet:
    """Folders as `Name/Name_0001.jpg` with a list of pairs in the format of LFW's pairs.txt.

    The first line has the number of folds and of pairs in half a fold, or the latter alone. Each
    fold has as many lines `name i j` (one person) and then `name i name j` (two people).

    Raises:
        DatasetError: an invalid line, a wrong number of lines, or a missing picture; the message
            names the file and the line.
    """
    lines = read_text(pairs).splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    folds, half = _lfw_head(lines[0] if lines else "", f"{pairs}, line 1")
    if len(lines) - 1 != folds * half * 2:
        raise DatasetError(
            f"{pairs}: line 1 promises {folds} x 2 x {half} = {folds * half * 2} pairs, "
            f"{len(lines) - 1} follow"
        )
    gathered, fold_of = _Gathered(), []
    found: dict[tuple[str, int], Path] = {}
    for k, line in enumerate(lines[1:]):
        where, mated = f"{pairs}, line {k + 2}", k // half % 2 == 0
        words = line.split("\t") if "\t" in line else line.split()
        if len(words) != (3 if mated else 4):
            expected = "name i j (one person)" if mated else "name i name j (two people)"
            raise DatasetError(f"{where}: expected {expected}, got {line.strip()[:80]!r}")
        first, second = (
            (words[0], words[1]),
            (words[-2] if len(words) == 4 else words[0], words[-1]),
        )
        if not mated and first[0] == second[0]:
            raise DatasetError(f"{where}: {first[0]} is on both sides of a pair of two people")
        sides = []
        for name, index in (first, second):
            if _whole(index) is None:
                raise DatasetError(f"{where}: {index!r} is not the number of a picture")
            key = (name, int(index))
            if key not in found:
                found[key] = _lfw_picture(root, *key, where)
            path = found[key]
            sides.append(gathered.add(printable(f"{name}/{path.name}"), path, name, where))
        gathered.rows.append((sides[0], sides[1], mated))
        fold_of.append(k // (2 * half))
    folds_of_pairs = np.asarray(fold_of, np.int64) if folds > 1 else None
    return gathered.pair_set(root, pairs, folds=folds_of_pairs, aligned=aligned)


def _whole(word: str) -> int | None:
    """A number in digits of any script (`isdigit` takes superscripts, which `int` does not)."""
    word = word.strip()
    return int(word) if word.isdecimal() and len(word) <= _DIGITS else None


def _lfw_head(line: str, where: str) -> tuple[int, int]:
    words = line.split()
    if len(words) not in (1, 2) or not all(_whole(word) for word in words):
        raise DatasetError(
            f"{where}: expected the number of folds and of pairs in half a fold, as '10 300', got "
            f"{line[:80]!r}"
        )
    return (int(words[0]), int(words[1])) if len(words) == 2 else (1, int(words[0]))


def _lfw_picture(root: Path, name: str, index: int, where: str) -> Path:
    if name in {"", ".", ".."} or "/" in name or "\\" in name or "\0" in name:
        raise DatasetError(f"{where}: {name!r} is not a person's name")
    stem = root / name / f"{name}_{index:04d}"
    for suffix in (".jpg", *sorted(IMAGE_SUFFIXES - {".jpg"})):
        path = stem.with_name(stem.name + suffix)
        if os.path.isfile(path):  # noqa: PTH113 - False, and no error, below a closed folder
            return path
    raise DatasetError(f"{where}: there is no picture {stem}.jpg")


def open_pair_table(table: Path, *, root: Path | None = None, aligned: bool = False) -> PairSet:
    """Pairs from a CSV file, or a Parquet file (extra `bulk`), with a header.

    Columns: `a` and `b`, paths relative to `root` (default: the table's folder); `label`, 1 for one
    person and 0 for two; optionally `group`, `fold`, and `subject_a` with `subject_b`.

    Raises:
        DatasetError: a column is missing, a value is not so, or a picture is not there; the message
            names the file and the line (of a Parquet file, the row).
        MissingExtraError: a Parquet file without pyarrow.
    """
    parquet = table.suffix.lower() in {".parquet", ".pq"}
    base = (table.parent if root is None else root).resolve()
    gathered, groups, folds = _Gathered(), [], []
    known: set[Path] = set()
    columns: frozenset[str] = frozenset()
    for where, row in _parquet_rows(table) if parquet else _csv_rows(table):
        columns = columns or _columns(row, table)
        sides = []
        for side in ("a", "b"):
            name = row[side]
            path = base / name
            if path not in known:
                if not name or not os.path.isfile(path):  # noqa: PTH113
                    raise DatasetError(f"{where}: there is no picture {name!r} in {base}")
                known.add(path)
            person = row.get(f"subject_{side}") if "subject_a" in columns else None
            if person == "":
                raise DatasetError(f"{where}: subject_{side} is empty")
            sides.append(gathered.add(printable(str(PurePosixPath(name))), path, person, where))
        mated = _label(row["label"], where)
        if "subject_a" in columns and (row["subject_a"] == row["subject_b"]) != mated:
            raise DatasetError(f"{where}: the label contradicts subject_a and subject_b")
        gathered.rows.append((sides[0], sides[1], mated))
        groups.append(row.get("group", ""))
        if "fold" in columns:
            if _whole(row["fold"].removeprefix("-")) is None:
                raise DatasetError(f"{where}: the fold {row['fold']!r} is not a whole number")
            folds.append(int(row["fold"]))
    if not gathered.rows:
        raise DatasetError(f"{table}: holds no pairs")
    return gathered.pair_set(
        table.with_suffix(""),
        table,
        folds=np.asarray(folds, np.int64) if folds else None,
        groups=tuple(groups) if "group" in columns else None,
        aligned=aligned,
    )


def _columns(row: Mapping[str, str], table: Path) -> frozenset[str]:
    missing = [name for name in ("a", "b", "label") if name not in row]
    if missing:
        raise DatasetError(
            f"{table}, line 1: no column {', '.join(missing)}; expected a, b, label and "
            f"optionally group, fold, subject_a, subject_b; found {', '.join(row)}"
        )
    if ("subject_a" in row) != ("subject_b" in row):
        raise DatasetError(f"{table}, line 1: subject_a and subject_b must be given together")
    return frozenset(row)


def _label(text: str, where: str) -> bool:
    word = text.strip().lower()
    if word not in _MATED | _NON_MATED:
        raise DatasetError(f"{where}: the label {text!r} is neither 1 (one person) nor 0 (two)")
    return word in _MATED


def _csv_rows(table: Path) -> Iterator[tuple[str, dict[str, str]]]:
    reader = csv.reader(io.StringIO(read_text(table), newline=""))
    header = [name.strip().lower() for name in next(reader, [])]
    for row in reader:
        where = f"{table}, line {reader.line_num}"
        if not row:
            continue
        if len(row) != len(header):
            raise DatasetError(f"{where}: {len(row)} values for {len(header)} columns")
        yield where, dict(zip(header, (value.strip() for value in row), strict=True))


def _parquet_rows(table: Path) -> Iterator[tuple[str, dict[str, str]]]:
    arrow = require("pyarrow", extra="bulk")
    parquet = require("pyarrow.parquet", extra="bulk")
    try:
        with table.open("rb") as opened:  # pyarrow takes names in UTF-8 alone
            rows = parquet.read_table(opened).to_pylist()
    except (OSError, arrow.ArrowException) as error:
        raise DatasetError(f"{table}: not a readable Parquet file ({error})") from error
    for k, row in enumerate(rows):
        text = {
            str(name).lower(): "" if value is None else str(value) for name, value in row.items()
        }
        yield f"{table}, row {k + 1}", text
