"""A folder a person."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from faceprint.errors import DatasetError
from faceprint.evaluation.datasets import PICTURE_SUFFIXES, LabelledSet, Picture
from faceprint.evaluation.groups import GROUPS_FILE, labels_of, read_groups

__all__ = ["open_folder"]


def open_folder(
    root: Path, *, minimum: int = 1, aligned: bool = False, groups: Path | None = None
) -> LabelledSet:
    """Every folder of `root` is a person, every picture directly inside it shows that person.

    Hidden files and folders and files that are no pictures are passed over; order is by name.

    Args:
        minimum: people with fewer pictures are left out.
        aligned: the pictures are crops that are aligned already.
        groups: a file of people and their groups (see `read_groups`); `groups.csv` in `root`, where
            there is one, when None.

    Raises:
        DatasetError: no folder, fewer than two people with pictures, or a file of groups that
            cannot be used.
    """
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder; expected one folder for each person in it")
    pictures: list[Picture] = []
    subjects: list[int] = []
    names: list[str] = []
    for folder in sorted(p for p in root.iterdir() if p.is_dir() and p.name[0] != "."):
        files = sorted(
            p
            for p in folder.iterdir()
            if p.suffix.lower() in PICTURE_SUFFIXES and p.name[0] != "." and p.is_file()
        )
        if len(files) < max(1, minimum):
            continue
        subjects += [len(names)] * len(files)
        pictures += [Picture(f"{folder.name}/{p.name}", p) for p in files]
        names.append(folder.name)
    if len(names) < 2:
        raise DatasetError(
            f"{root} holds {len(names)} folders with {max(1, minimum)} or more pictures; expected "
            f"at least two people, each in a folder of their own ({', '.join(PICTURE_SUFFIXES)})"
        )
    labels = None
    file = root / GROUPS_FILE if groups is None else groups
    if groups is not None or file.is_file():
        labels = labels_of(names, read_groups(file), str(file))
    return LabelledSet(
        root.name, tuple(pictures), np.asarray(subjects), tuple(names), aligned, labels
    )
