"""Degraded strangers in a search, on a few made faces whose answers follow by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools"))

from quality_sample import Job, Sample, in_half
from quality_search import search_jobs, search_strangers

from faceprint.errors import DatasetError

NAMES = [f"person {number}" for number in range(100)]
CHOOSING = [name for name in NAMES if in_half(name)][:6]
REPORTING = [name for name in NAMES if not in_half(name)][:6]


def sample(rows: list[tuple[str, str, int]]) -> Sample:
    """Faces as (person, kind, axis): each lies on an axis, so similarities are 0 or 1."""
    person, kind, axis = zip(*rows, strict=True)
    zeros = np.zeros(len(rows), np.float32)
    return Sample(
        data_set=np.asarray(["made"] * len(rows)),
        person=np.asarray(person),
        kind=np.asarray(kind),
        photo=np.asarray(["photo"] * len(rows)),
        vectors=np.eye(20, dtype=np.float32)[list(axis)],
        norms=zeros,
        crop=zeros,
        size=zeros,
        sharpness=zeros,
        jobs=len(rows),
    )


def test_strangers_that_reach_the_threshold_are_counted() -> None:
    enrolled = [(name, "", axis) for axis, name in enumerate(CHOOSING)]
    # Of four blurred and four dark strangers three look like somebody; one of the three is refused.
    axes = [0, 1, 10, 11, 2, 12, 13, 14]
    kinds = ["blur"] * 4 + ["exposure"] * 4
    strangers = list(zip(REPORTING[:4] * 2, kinds, axes, strict=True))
    made = sample(enrolled + strangers)
    good = np.ones(len(made.person), bool)
    good[len(enrolled)] = False
    found = search_strangers(made, good, 0.5, enrolled=6, draws=3)
    assert found.strangers == 8
    assert found.taken == found.most == pytest.approx(2 / 8)
    assert found.undecided == pytest.approx(1 / 8)
    assert found.by_kind == pytest.approx({"blur": 1 / 4, "exposure": 1 / 4})
    assert found.taken_without_limit == pytest.approx(3 / 8)


def test_a_degraded_gallery_holds_other_people_than_the_strangers() -> None:
    # Everybody's photographs look alike: every stranger is taken, and nobody for himself.
    made = sample([(name, kind, 0) for name in REPORTING for kind in ("blur", "jpeg")])
    good = np.ones(len(made.person), bool)
    found = search_strangers(made, good, 0.5, poor_gallery=True, enrolled=4, draws=3)
    assert (found.strangers, found.taken) == (4, 1)


def test_a_stranger_is_not_found_in_a_gallery_of_himself() -> None:
    made = sample([(name, "blur", axis) for axis, name in enumerate(REPORTING) for _ in range(2)])
    good = np.ones(len(made.person), bool)
    found = search_strangers(made, good, 0.5, poor_gallery=True, enrolled=4, draws=3)
    assert (found.strangers, found.taken) == (4, 0)


def test_too_few_people_are_an_error() -> None:
    made = sample([(CHOOSING[0], "", 0), (REPORTING[0], "blur", 1)])
    with pytest.raises(DatasetError, match="1 people can be enrolled, 100"):
        search_strangers(made, np.ones(2, bool), 0.5)


def test_the_search_takes_whole_photographs_of_one_half_and_degraded_ones_of_the_other() -> None:
    def job(person: str, kind: str) -> Job:
        return "made", person, Path(person), kind

    jobs = [job(name, kind) for name in NAMES for kind in ("", "", "blur", "jpeg")]
    needed = search_jobs(jobs, 5)
    assert [job for job in needed if job[3] == ""] == [job(name, "") for name in CHOOSING[:5]]
    assert [job for job in needed if job[3]] == [
        job(name, kind) for name in REPORTING[:5] for kind in ("blur", "jpeg")
    ]
