"""Tables and part files: what is written comes back, and nothing half written is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from faceprint.embedding_table.reader import read_groups, read_metadata
from faceprint.embedding_table.schema import COLUMNS, Columns, EmbeddingTable
from faceprint.embedding_table.writer import TableSize, check_table_name, write_table
from faceprint.errors import DatasetError, UsageError
from faceprint.types import Embedding, Face, Quality

HEAD = {"embedder": "toy", "fingerprint": "f"}


def face(seed: int, *, bare: bool = False) -> Face:
    rng = np.random.default_rng(seed)
    vector = rng.normal(size=8).astype(np.float32)
    return Face(
        rng.random(4, np.float32),
        0.5 + seed / 100,
        None if bare else rng.random((5, 2), np.float32),
        None if bare else Quality(50.0, 120.0, None, 0.4),
        Embedding(vector / np.linalg.norm(vector), "toy", 1.0),
    )


def columns() -> Columns:
    """A face, a bare face, a photograph without one, a failure."""
    faces = EmbeddingTable.from_faces([face(1), face(2, bare=True)], "a.jpg")
    assert faces.landmarks is not None
    numbers = {
        "face": np.arange(2, dtype=np.int32),
        "box": faces.boxes,
        "score": faces.scores,
        "landmarks": faces.landmarks,
        "quality": faces.quality,
        "embedding": faces.vectors,
    }
    out: Columns = {}
    for name, values in numbers.items():
        blank = np.full((2, *values.shape[1:]), -1 if name == "face" else np.nan, values.dtype)
        out[name] = np.concatenate([values, blank])
    texts = {
        "source": ["a.jpg", "a.jpg", "sky.jpg", "größe.jpg"],
        "embedder": ["toy", "toy", None, None],
        "error": [None, None, None, "damaged: 人"],
        "duplicate_of": [None, None, None, "a.jpg"],
    }
    return out | {name: np.asarray(values, object) for name, values in texts.items()}


def groups(names: tuple[str, ...]) -> Iterator[Columns]:
    whole = columns()
    for start, end in ((0, 1), (1, 4)):
        yield {name: whole[name][start:end] for name in names}


@pytest.mark.parametrize("suffix", [".parquet", ".npz"])
def test_a_table_comes_back_as_it_was(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"t{suffix}"
    write_table(path, TableSize(4, 8, 20, 20), HEAD, groups)
    read = list(read_groups(path, rows=3))
    lengths = [len(group["face"]) for group in read]
    assert sum(lengths) == 4
    assert max(lengths) <= 3
    for name, wanted in columns().items():
        found = np.concatenate([group[name] for group in read])
        if wanted.dtype == object:
            assert found.tolist() == wanted.tolist(), name
        else:
            np.testing.assert_array_equal(found, wanted, err_msg=name)
    assert read_metadata(path) == HEAD
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_parquet_has_the_columns_of_the_contract_nulls_and_a_row_group_a_group(
    tmp_path: Path,
) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    write_table(path, TableSize(4, 8, 20, 20), HEAD, groups)
    with pq.ParquetFile(path) as file:
        assert file.num_row_groups == 2
        assert tuple(file.schema_arrow.names) == COLUMNS
        rows = file.read().to_pylist()
    assert rows[0]["quality"] == {
        "size": 50.0, "sharpness": 120.0, "yaw": None, "value": pytest.approx(0.4),
    }  # fmt: skip
    assert (rows[1]["landmarks"], rows[1]["quality"]) == (None, None)
    assert [row["face"] for row in rows] == [0, 1, None, None]
    assert [row["embedding"] is None for row in rows] == [False, False, True, True]
    np.testing.assert_array_equal(rows[0]["landmarks"], face(1).landmarks)


def test_npz_is_plain_numpy(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    write_table(path, TableSize(4, 8, 20, 20), HEAD, groups)
    with np.load(path, allow_pickle=False) as table:
        assert table["embedding"].shape == (4, 8)
        assert table["source"].tolist() == ["a.jpg", "a.jpg", "sky.jpg", "größe.jpg"]
        assert table["error"].tolist() == ["", "", "", "damaged: 人"]


def test_a_table_of_nothing_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    write_table(path, TableSize(0, 8, 1, 1), HEAD, lambda names: iter(()))
    assert list(read_groups(path)) == []


@pytest.mark.parametrize("name", ["t.csv", "t", "t.npz.gz"])
def test_other_suffixes_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"\.parquet or \.npz"):
        check_table_name(Path(name))


@pytest.mark.parametrize("suffix", [".parquet", ".npz"])
def test_what_is_no_table_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_bytes(b"not a table")
    assert read_metadata(path) is None
    with pytest.raises(DatasetError, match="not a table"):
        list(read_groups(path))
