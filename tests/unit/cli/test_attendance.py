"""The attendance list: everybody of the gallery, present or not; no cell is a formula."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from faceprint.cli.attendance import Attendance
from faceprint.errors import UsageError
from faceprint.types import Identification, Match


def answer(name: str, similarity: float) -> Identification:
    return Identification((Match(name, "1", similarity, 1),), threshold=0.5)


def test_photographs_count_once_and_strangers_not(tmp_path: Path) -> None:
    seen = Attendance()
    seen.add("1.jpg", answer("ada, countess", 0.6))
    seen.add("1.jpg", answer("ada, countess", 0.9))
    seen.add("2.jpg", answer("ada, countess", 0.7))
    seen.add("2.jpg", answer("bob", 0.4))
    assert seen.write(tmp_path / "a.csv", ["ada, countess", "bob"]) == (1, 2)
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[1:] == [
            ["ada, countess", "yes", "2", "0.900", "1.jpg"],
            ["bob", "no", "0", "", ""],
        ]
    with pytest.raises(UsageError):
        seen.write(tmp_path / "gone" / "a.csv", [])


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    names = ['=HYPERLINK("http://evil.example", "ada")', "+1", "-1", "@SUM(A1)", "'=1", "'t Hooft"]
    seen = Attendance()
    for name in names:
        seen.add("-rf.jpg", answer(name, 0.6))
    seen.write(tmp_path / "a.csv", names)
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert [row[0] for row in rows] == [*("'" + name for name in names[:-1]), "'t Hooft"]
    assert {row[4] for row in rows} == {"'-rf.jpg"}
