"""The table of a folder: what is embedded, kept, embedded again and left out."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from faceprint import errors
from faceprint.compat.deepface import DeepFace, folder_table, search
from faceprint.embedding_table.reader import read_table

SKIP = {"detector_backend": "skip", "return_type": "dict", "similarity_search": True}
TABLE = "people.deepface-dlib-skip.npz"


@pytest.fixture
def people(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name in ("ada/1.png", "ada/2.png", "grace.jpg"):
        path = tmp_path / "people" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (40, 40, 3), np.uint8)).save(path)
    (tmp_path / "people" / "notes.txt").write_text("no photograph")
    return tmp_path / "people"


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The photographs that were embedded, in order."""
    done: list[str] = []
    original = folder_table._embedded

    def counted(photo: Path, embed: folder_table.Embed, dim: int) -> folder_table._Rows:
        done.append(photo.name)
        return original(photo, embed, dim)

    monkeypatch.setattr(folder_table, "_embedded", counted)
    return done


def test_the_closest_photograph_comes_first(people: Path) -> None:
    (rows,) = DeepFace.find(people / "grace.jpg", people, **SKIP)
    assert Path(rows[0]["identity"]).name == "grace.jpg"
    assert rows[0]["distance"] == pytest.approx(0, abs=1e-5) and len(rows) == 3
    assert rows[0]["threshold"] == 0.07 and rows[0]["target_w"] == rows[0]["source_w"] == 39
    (one,) = DeepFace.find(people / "grace.jpg", str(people), k=1, **SKIP)
    assert one[0]["identity"] == str(people / "grace.jpg")
    (none,) = DeepFace.find(
        people / "grace.jpg", people, threshold=-1, **{**SKIP, "similarity_search": False}
    )
    assert none == []
    table = read_table(people.parent / TABLE)
    assert table.embedder == "dlib-resnet" and len(table) == 3


def test_photographs_are_embedded_once(people: Path, embedded: list[str]) -> None:
    probe = people / "grace.jpg"
    DeepFace.find(probe, people, **SKIP)
    assert sorted(embedded) == ["1.png", "2.png", "grace.jpg"]
    DeepFace.find(probe, people, **SKIP)
    assert len(embedded) == 3
    (people / "ada" / "2.png").write_bytes((people / "ada" / "1.png").read_bytes())
    (people / "ada" / "1.png").unlink()
    (people / "new.jpg").write_bytes(probe.read_bytes())
    (rows,) = DeepFace.find(probe, people, refresh_database=False, **SKIP)
    assert len(rows) == 3 and len(embedded) == 3
    (rows,) = DeepFace.find(probe, people, **SKIP)
    assert embedded[3:] == ["2.png", "new.jpg"]
    assert {Path(row["identity"]).name for row in rows} == {"2.png", "grace.jpg", "new.jpg"}
    DeepFace.find(probe, people, align=False, **SKIP)
    assert len(embedded) == 8


def test_a_damaged_table_is_written_anew(people: Path, embedded: list[str]) -> None:
    DeepFace.find(people / "grace.jpg", people, **SKIP)
    (people.parent / TABLE).write_bytes(b"damaged")
    DeepFace.find(people / "grace.jpg", people, **SKIP)
    assert len(embedded) == 6


def test_photographs_that_cannot_be_used_are_left_out(people: Path, embedded: list[str]) -> None:
    (people / "damaged.png").write_bytes(b"no photograph")
    for _ in range(2):
        (rows,) = DeepFace.find(people / "grace.jpg", people, **SKIP)
        assert len(rows) == 3
    assert embedded.count("damaged.png") == 1


def test_folders_that_cannot_be_searched(people: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        DeepFace.find(people / "grace.jpg", tmp_path / "missing", **SKIP)
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.UsageError, match="no photograph"):
        DeepFace.find(people / "grace.jpg", tmp_path / "empty", **SKIP)
    for wrong in ({"return_type": "list"}, {"k": 0}, {"detector_backend": "ssd"}):
        with pytest.raises(errors.UsageError):
            DeepFace.find(people / "grace.jpg", people, **{**SKIP, **wrong})


def test_data_frames_need_pandas(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = {**SKIP, "return_type": None}
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(errors.MissingExtraError, match="return_type='dict'"):
        DeepFace.find(people / "grace.jpg", people, **frames)
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=dict))
    (frame,) = DeepFace.find(people / "grace.jpg", people, **frames)
    assert list(frame)[:3] == ["identity", "hash", "target_x"] and len(frame["distance"]) == 3
    assert search.find is DeepFace.find
