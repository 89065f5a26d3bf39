"""Reads data sets with one folder per person."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from faceprint._text import printable
from faceprint.errors import DatasetError
from faceprint.evaluation.datasets import LabeledSet, Picture
from faceprint.evaluation.groups import GROUPS_FILE, labels_of, read_groups
from faceprint.vision.search_report import SearchReport
from faceprint.vision.sources import IMAGE_SUFFIXES, find_people

__all__ = ["open_folder"]


def open_folder(
    root: Path,
    *,
    minimum: int = 1,
    aligned: bool = False,
    exclude: Sequence[str] = (),
    groups: Path | None = None,
    report: SearchReport | None = None,
) -> LabeledSet:
    """Every folder in `root` is a person, and every picture at any depth in it shows that person.

    Args:
        minimum: people with fewer pictures are left out.
        aligned: the pictures are crops that are aligned already.
        exclude, report: see `find_people`.
        groups: a file of people and their groups (see `read_groups`); `groups.csv` in `root`, where
            there is one, when None.

    Raises:
        DatasetError: no folder, fewer than two people with pictures, or a file of groups that
            cannot be used.
    """
    if not os.path.isdir(root):  # noqa: PTH112 - False, and no error, below a closed folder
        raise DatasetError(f"{root} is not a folder; expected one folder for each person in it")
    pictures: list[Picture] = []
    subjects: list[int] = []
    names: list[str] = []
    found = find_people(root, exclude=exclude, report=report)
    for person, group in itertools.groupby(found, key=lambda pair: pair[0]):
        files = [Path(path) for _, path in group]
        if len(files) < max(1, minimum):
            continue
        subjects += [len(names)] * len(files)
        pictures += [Picture(printable(path.relative_to(root).as_posix()), path) for path in files]
        names.append(person)
    if len(names) < 2:
        suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DatasetError(
            f"{root} must hold at least two people with {max(1, minimum)} or more pictures, each "
            f"in a folder of their own ({suffixes}); it holds {len(names) or 'none'}"
        )
    labels = None
    file = root / GROUPS_FILE if groups is None else groups
    if groups is not None or os.path.isfile(file):  # noqa: PTH113 - as above
        labels = labels_of(names, read_groups(file), str(file))
    title = printable(root.name)
    return LabeledSet(title, tuple(pictures), np.asarray(subjects), tuple(names), aligned, labels)
