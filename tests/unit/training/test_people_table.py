"""Parquet tables of people: the same crops as from folders, read a row group at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_data import write_people

pa = pytest.importorskip("pyarrow", reason="faceprint[bulk] is not installed")
import pyarrow.parquet as pq  # noqa: E402

from faceprint.errors import DatasetError  # noqa: E402
from faceprint.training import people_table as module  # noqa: E402
from faceprint.training.check import CheckOptions, check_data  # noqa: E402
from faceprint.training.people_data import open_people, picture_hashes  # noqa: E402


@pytest.fixture
def people(tmp_path: Path) -> Path:
    return write_people(tmp_path / "people", people=4, each=3)


def _table(people: Path, out: Path, kind: str) -> Path:
    paths = sorted(people.glob("*/*.png"))
    columns: dict[str, list[Any]] = {"person": [path.parent.name for path in paths]}
    if kind == "path":
        columns["path"] = [path.relative_to(out.parent).as_posix() for path in paths]
    elif kind == "bytes":
        columns["image"] = [path.read_bytes() for path in paths]
    else:
        columns["image"] = [{"bytes": path.read_bytes(), "path": path.name} for path in paths]
    pq.write_table(pa.table(columns), out, row_group_size=5)
    return out


@pytest.mark.parametrize("kind", ["path", "bytes", "structure"])
def test_a_table_is_the_folder(people: Path, tmp_path: Path, kind: str) -> None:
    table = open_people(_table(people, tmp_path / "table.parquet", kind), aligned=True)
    folder = open_people(people, aligned=True)
    assert list(table.names) == list(folder.names)
    assert table.subjects.tolist() == folder.subjects.tolist()
    assert [p.read() for p in table.pictures] == [p.read() for p in folder.pictures]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    hashes = picture_hashes(table, tmp_path / "a")
    assert hashes == picture_hashes(folder, tmp_path / "b")
    report, store = check_data(table, tmp_path / "store", CheckOptions())
    assert (len(report.people.names), store.count) == (4, 12)
    assert report.people.named


def test_a_part_and_rows_in_any_order(people: Path, tmp_path: Path) -> None:
    table = open_people(_table(people, tmp_path / "t.pq", "bytes"), aligned=True)
    paths = sorted(people.glob("*/*.png"))
    for i in (11, 0, 7, 4, 5):
        assert table.pictures[i].read() == paths[i].read_bytes()
    part = table.pictures[6:8]
    assert [each.name for each in part] == ["t-7", "t-8"]


def test_what_is_no_table_of_people_is_named(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"name": ["a"], "image": [b""]}), path)
    with pytest.raises(DatasetError, match="expected the columns person, and path or image; found"):
        open_people(path)
    pq.write_table(pa.table({"person": ["a", None], "path": ["x", "y"]}), path)
    with pytest.raises(DatasetError, match="holds 1 person"):
        open_people(path)
    path.write_bytes(b"PAR1")
    with pytest.raises(DatasetError, match="not a readable Parquet file"):
        open_people(path)
    _table(people, path, "bytes")
    with pytest.raises(DatasetError, match="patterns exclude from folders"):
        open_people(path, exclude=["x"])
    monkeypatch.setattr(module, "_MOST_BYTES", 100)
    with pytest.raises(DatasetError, match="write it with smaller row groups"):
        open_people(path)


def test_a_row_without_an_image_is_unusable(people: Path, tmp_path: Path) -> None:
    images = [path.read_bytes() for path in sorted(people.glob("*/*.png"))[:3]]
    columns = {"person": ["a", "b", "a", "b"], "image": [*images, None]}
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns), path)
    report, _ = check_data(open_people(path, aligned=True), tmp_path / "s", CheckOptions())
    assert len(report.people.rows) == 3
    assert [name for name, _ in report.people.unusable] == ["t-4"]
    assert np.bincount(report.people.subjects).tolist() == [2, 1]
