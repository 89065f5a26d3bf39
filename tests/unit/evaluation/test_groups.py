"""Files of groups, and how FaceScrub's people are labeled by numbers."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from faceprint.errors import DatasetError
from faceprint.evaluation.folders import open_folder
from faceprint.evaluation.groups import labels_of, read_groups

TOOLS = Path(__file__).resolve().parents[3] / "tools"


@pytest.mark.parametrize(
    "text", ["person,group\nada,women\nbo,men\n", "ada\twomen\n\nbo\tmen\n", '"ada", women\nbo,men']
)
def test_a_file_of_groups(tmp_path: Path, text: str) -> None:
    (tmp_path / "g.csv").write_text(text)
    groups = read_groups(tmp_path / "g.csv")
    assert groups == {"ada": "women", "bo": "men"}
    assert labels_of(["bo", "cy", "ada"], groups, "g").tolist() == ["men", "", "women"]
    with pytest.raises(DatasetError, match="names none of the 2 people"):
        labels_of(["x", "y"], groups, "g")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ada\n", "line 1: expected a person and a group"),
        ("ada,women\nbo,\n", "line 2: expected"),
        ("ada,women\nada,men\n", "line 2: ada is in 'women' above and 'men' here"),
        ("person,group\n", "names no person"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "g.csv").write_text(text)
    with pytest.raises(DatasetError, match=told):
        read_groups(tmp_path / "g.csv")
    with pytest.raises(DatasetError, match="No such file"):
        read_groups(tmp_path / "none.csv")


def test_a_folder_brings_its_groups(tmp_path: Path) -> None:
    for name in ("ada", "bo"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(b"x")
    assert open_folder(tmp_path).groups is None
    (tmp_path / "groups.csv").write_text("ada,women\n")
    labels = open_folder(tmp_path).groups
    assert labels is not None
    assert labels.tolist() == ["women", ""]
    (tmp_path / "other.csv").write_text("bo,men\n")
    other = open_folder(tmp_path, groups=tmp_path / "other.csv").groups
    assert other is not None
    assert other.tolist() == ["", "men"]


def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("facescrub_groups")


def test_two_lists_are_told_apart_by_the_order_of_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # By first name: Al, Bob, Cid, Dan, Ed; by surname: Abel, Byrd, Cole, Dunn, Eads.
    # "Cat_Cole" fits both lists, "Zoe_Aaron" neither.
    spans = {
        "Al_Young": (1, 9), "Zed_Q_Abel": (5, 8), "Bob_Zane": (20, 22), "Uma_Byrd": (21, 25),
        "Cat_Cole": (30, 31), "Cid_Zorn": (40, 44), "Dan_Bell": (50, 50), "Zoe_Aaron": (26, 28),
        "Amy_Dunn": (52, 58), "Ed_Bay": (60, 61), "Ann_Eads": (70, 75),
    }  # fmt: skip
    found = tool(monkeypatch).groups_by_number(spans)
    assert {name for name, label in found.items() if label == "men"} == {
        "Al_Young", "Bob_Zane", "Cid_Zorn", "Dan_Bell", "Ed_Bay"
    }  # fmt: skip
    assert {name for name, label in found.items() if label == "women"} == {
        "Zed_Q_Abel", "Uma_Byrd", "Amy_Dunn", "Ann_Eads"
    }  # fmt: skip


def test_well_known_people_of_facescrub(
    monkeypatch: pytest.MonkeyPatch, shared_faces: Path
) -> None:
    folder = shared_faces / "facescrub"
    if not folder.is_dir():
        pytest.skip("no folder of FaceScrub's photographs")
    found = tool(monkeypatch).facescrub_groups(folder)
    men = ("Al_Pacino", "Bruce_Willis", "Denzel_Washington", "Harrison_Ford", "Tom_Hanks")
    women = ("Eva_Longoria", "Helen_Hunt", "Jamie_Lee_Curtis", "Mila_Kunis", "Tina_Fey")
    assert [found[name] for name in men] == ["men"] * 5
    assert [found[name] for name in women] == ["women"] * 5
    # Nearly everybody is labeled; those who fit both lists or neither are not.
    assert 240 <= len(found) <= 258
    assert "Andrea_Anders" not in found
