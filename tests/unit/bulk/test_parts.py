"""Part files: what is written comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faceprint.bulk.parts import read_column, write_part
from faceprint.bulk.work import Outcome
from faceprint.embedding_table.schema import EmbeddingTable
from faceprint.errors import DatasetError
from faceprint.types import Embedding, Face, Quality


def face(seed: int) -> Face:
    rng = np.random.default_rng(seed)
    vector = rng.normal(size=8).astype(np.float32)
    return Face(
        rng.random(4, np.float32),
        0.5 + seed / 100,
        rng.random((5, 2), np.float32),
        Quality(50.0 + seed, 120.0, None, 0.4),
        Embedding(vector / np.linalg.norm(vector), "toy", 1.0),
    )


def test_a_part_comes_back_and_a_damaged_one_says_so(tmp_path: Path) -> None:
    faces = [face(1), face(2), face(3)]
    tables = [EmbeddingTable.from_faces(faces[:2], "a"), EmbeddingTable.from_faces(faces[2:], "b")]
    path = tmp_path / "part.npz"
    write_part(path, Outcome(EmbeddingTable.concatenate(tables), (2, 0, 1), (None, None, None)))
    assert path.stat().st_mode & 0o077 == 0
    assert read_column(path, "face").tolist() == [0, 1, 0]
    np.testing.assert_array_equal(read_column(path, "box"), [f.box for f in faces])
    np.testing.assert_array_equal(read_column(path, "score"), np.float32([0.51, 0.52, 0.53]))
    np.testing.assert_array_equal(read_column(path, "landmarks"), [f.landmarks for f in faces])
    quality = [[50 + seed, 120, np.nan, np.float32(0.4)] for seed in (1, 2, 3)]
    np.testing.assert_array_equal(read_column(path, "quality"), np.float32(quality))
    vectors = [f.embedding.vector for f in faces if f.embedding is not None]
    np.testing.assert_array_equal(read_column(path, "embedding"), vectors)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DatasetError, match="--overwrite"):
        read_column(path, "box")


def test_a_part_without_a_face_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "part.npz"
    write_part(path, Outcome(EmbeddingTable.concatenate([]), (0, 0), (None, "damaged")))
    assert read_column(path, "face").shape == (0,)
    assert read_column(path, "landmarks").shape == (0, 5, 2)
