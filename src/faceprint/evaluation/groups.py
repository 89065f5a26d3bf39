"""False match rates within groups of people and across them.

The words are those of ISO/IEC 19795-10: a group's rate is that of pairs of two of its people; the
pooled rate counts all pairs. Two people of one group often resemble each other more than two people
drawn at random, so the highest rate within a group stands beside the pooled one.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceprint._text import printable
from faceprint.errors import DatasetError
from faceprint.evaluation.datasets import read_text
from faceprint.evaluation.intervals import RULE_OF_3, Rate
from faceprint.evaluation.person_bootstrap import rate_over_people

__all__ = ["ACROSS", "GROUPS_FILE", "GroupFmr", "group_fmrs", "labels_of", "read_groups"]


GROUPS_FILE = "groups.csv"
"""In a folder with one folder for each person, the file that names each person's group."""

ACROSS = "across groups"
"""The name of the pairs whose people are of two groups."""


@dataclass(frozen=True, slots=True)
class GroupFmr:
    """The false match rate of one group of people.

    Attributes:
        group: "two LABEL" for pairs of two of its people, or `ACROSS`.
        within: whether both people are of one group.
        people: how many people it has in such pairs.
        fmr: with its interval over people.
        enough: whether its pairs could show the target rate (rule of 3).
    """

    group: str
    within: bool
    people: int
    fmr: Rate
    enough: bool


def group_fmrs(
    wrong: NDArray[np.bool_],
    labels: tuple[NDArray[np.str_], NDArray[np.str_]],
    people: tuple[NDArray[np.int64], NDArray[np.int64]],
    target: float,
) -> tuple[GroupFmr, ...]:
    """The rate within each group, by name, and then across groups.

    Args:
        wrong: (n,) which non-mated pairs matched.
        labels: (n,) and (n,) the groups of both sides; pairs with an empty label take no part.
        people: (n,) and (n,) person numbers of both sides.
        target: the FMR that was asked for.
    """
    a, b = labels
    names = sorted(set(np.unique(a).tolist()) - {""} | set(np.unique(b).tolist()) - {""})
    parts = [(f"two {name}", (a == name) & (b == name)) for name in names]
    if len(names) > 1:
        parts.append((ACROSS, (a != b) & (a != "") & (b != "")))
    found = []
    for name, of in parts:
        first, second = people[0][of], people[1][of]
        rate = rate_over_people(wrong[of], first, second)
        enough = target * rate.trials >= RULE_OF_3
        counted = len(np.union1d(first, second))
        found.append(GroupFmr(name, name != ACROSS, counted, rate, enough))
    return tuple(found)


def read_groups(path: Path) -> dict[str, str]:
    """Each person's group from a file with one line per person: name and label.

    The columns are separated by a tab or a comma; a first line `person,group` is skipped. Labels
    should be plural, as "women", since reports say "two women".

    Raises:
        DatasetError: not readable, a line that has not two columns, an empty name or label, or a
            person with two labels; the message names the file and the line.
    """
    groups: dict[str, str] = {}
    for number, line in enumerate(printable(read_text(path)).splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        cells = line.split("\t") if "\t" in line else next(csv.reader([line]))
        words = [cell.strip() for cell in cells]
        if number == 1 and [word.lower() for word in words] == ["person", "group"]:
            continue
        if len(words) != 2 or not all(words):
            raise DatasetError(
                f"{where}: expected a person and a group, separated by a tab or a comma, got "
                f"{line.strip()[:80]!r}"
            )
        name, label = words
        if groups.setdefault(name, label) != label:
            raise DatasetError(f"{where}: {name} is in {groups[name]!r} above and {label!r} here")
    if not groups:
        raise DatasetError(f"{path}: names no person")
    return groups


def labels_of(names: Sequence[str], groups: Mapping[str, str], where: str) -> NDArray[np.str_]:
    """(people,) the group of each person, empty for people whom the file does not name.

    Raises:
        DatasetError: the file names none of them.
    """
    labels = np.asarray([groups.get(name, "") for name in names], np.str_)
    if not (labels != "").any():
        raise DatasetError(
            f"{where}: names none of the {len(names)} people, who are {', '.join(names[:3])}, ..."
        )
    return labels
