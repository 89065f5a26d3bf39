"""Photographs with a wrong name, found where several embedders agree."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools"))

from label_noise import find_wrong_names, read_aside, write_aside

from faceprint.errors import DatasetError, UsageError

PEOPLE, EACH, D = 80, 4, 48


def embedders(number: int = 3) -> tuple[list[NDArray[np.float32]], NDArray[np.int64], list[str]]:
    """Several views of the same people: each embedder has its own axes and its own noise."""
    subjects = np.repeat(np.arange(PEOPLE), EACH)
    views = []
    for seed in range(number):
        rng = np.random.default_rng(seed)
        centers = rng.normal(size=(PEOPLE, D))
        rows = centers[subjects] + 0.5 * rng.normal(size=(PEOPLE * EACH, D))
        views.append((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))
    return views, subjects, [f"{who}/{i}.jpg" for i, who in enumerate(subjects)]


def test_clean_names_stay() -> None:
    assert find_wrong_names(*embedders()) == ()


def test_what_every_embedder_finds_wrong_is_set_aside() -> None:
    views, subjects, pictures = embedders()
    rng = np.random.default_rng(9)
    for rows in views:
        stranger = rng.normal(size=D)
        rows[5] = stranger / np.linalg.norm(stranger)  # nobody of the data
        rows[40] = rows[201]  # a picture of person 50 under the name of person 10
    found = {each.index: each for each in find_wrong_names(views, subjects, pictures)}
    assert set(found) == {5, 40}
    assert found[5].reason == "like none of its name"
    assert found[40].reason == "like another name"
    assert found[40].picture == "10/40.jpg"


def test_the_mistake_of_one_embedder_is_its_own() -> None:
    views, subjects, pictures = embedders()
    views[0][5] = -views[0][5]
    views[1][40] = views[1][201]
    assert find_wrong_names(views, subjects, pictures) == ()


def test_one_picture_under_two_lonely_names() -> None:
    views, subjects, pictures = embedders()
    subjects = np.concatenate([subjects, [900, 901]])
    pictures += ["900/a.jpg", "901/a.jpg"]
    rng = np.random.default_rng(4)
    doubled = []
    for rows in views:
        new = rng.normal(size=D)
        new = (new / np.linalg.norm(new)).astype(np.float32)
        doubled.append(np.vstack([rows, new, new]))
    found = find_wrong_names(doubled, subjects, pictures)
    assert [each.picture for each in found] == ["900/a.jpg", "901/a.jpg"]
    assert {each.reason for each in found} == {"one picture, two names"}


def test_the_list_comes_back(tmp_path: Path) -> None:
    views, subjects, pictures = embedders()
    for rows in views:
        rows[40] = rows[201]
    found = find_wrong_names(views, subjects, pictures)
    write_aside(tmp_path / "a.txt", found, ["how it was made"])
    assert (tmp_path / "a.txt").read_text() == "# how it was made\n10/40.jpg\tlike another name\n"
    assert read_aside(tmp_path / "a.txt") == {"10/40.jpg"}
    with pytest.raises(DatasetError, match="No such file"):
        read_aside(tmp_path / "b.txt")


def test_what_cannot_be_judged() -> None:
    views, subjects, pictures = embedders()
    with pytest.raises(UsageError, match="two embedders or more"):
        find_wrong_names(views[:1], subjects, pictures)
    with pytest.raises(UsageError, match="differ in length"):
        find_wrong_names(views, subjects[:-1], pictures)
    with pytest.raises(UsageError, match="two pictures"):
        find_wrong_names(views, np.arange(len(subjects)), pictures)


@pytest.mark.parametrize(("name", "count"), [("facescrub", 10), ("lfw", 15)])
def test_the_lists_name_photographs_that_are_there(
    name: str, count: int, shared_faces: Path
) -> None:
    reports = Path(__file__).resolve().parents[3] / "docs" / "reports"
    listed = read_aside(reports / f"aside-{name}.txt")
    assert len(listed) == count
    folder = shared_faces / name
    if not folder.is_dir():
        pytest.skip(f"no folder of {name}'s photographs")
    assert all((folder / picture).is_file() for picture in listed)
