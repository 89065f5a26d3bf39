"""The options of clustering."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from faceprint.embedding_table.schema import EmbeddingTable
from faceprint.errors import UsageError
from faceprint.recognition.cluster import ClusterOptions, cluster
from faceprint.recognition.thresholds.min_quality import QualityFilter
from faceprint.types import AnalyzedImage, Embedding, Face, Quality


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"threshold": 3.0}, "cosine"),
        ({"fmr": 0.0}, "rate"),
        ({"threshold": 0.4, "fmr": 0.1}, "both"),
    ],
)
def test_what_can_not_be_meant_is_refused_before_a_photograph_is_looked_at(given, says):
    def results():
        raise AssertionError("looked at")
        yield

    with pytest.raises(UsageError, match=says):
        cluster(results(), **given)
    with pytest.raises(UsageError, match=says):
        ClusterOptions(**given)


@pytest.fixture(autouse=True)
def home(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))


def faces(embedder: str, count: int = 3, yaw: float = 0.0) -> EmbeddingTable:
    rows = np.eye(count, 128, dtype=np.float32)
    quality = np.tile(np.asarray([60.0, 90.0, yaw, 0.8], np.float32), (count, 1))
    return EmbeddingTable(
        tuple(f"{i}.jpg" for i in range(count)),
        np.zeros((count, 4), np.float32),
        np.ones(count, np.float32),
        quality,
        rows,
        embedder,
        (None,) * count,
    )


@pytest.mark.parametrize(
    ("embedder", "detector", "evidence", "words"),
    [
        ("mobileface", "mtcnn", "measured", "measured on"),
        ("w600k-mbf", "mtcnn", "copy", "copy of the weights"),
        ("mobileface", "scrfd-500m", "borrowed", "nobody measured mobileface with scrfd-500m"),
        ("mobileface", "", "borrowed", "not known which detector"),
        ("sface", "yunet-2023mar", "published", "published threshold 0.363"),
    ],
)
def test_a_small_album_says_what_it_goes_by(
    embedder: str, detector: str, evidence: str, words: str
) -> None:
    found = ClusterOptions(detector).merge_threshold(faces(embedder))
    assert found.evidence == evidence
    assert words in found.source
    assert found.provisional == (evidence in ("borrowed", "published"))
    given = ClusterOptions(detector, threshold=0.5).merge_threshold(faces(embedder))
    assert (given.pair, given.evidence, given.provisional) == (0.5, "given", False)


@pytest.mark.parametrize(("detector", "yaw"), [("ultraface-rfb-320", 0.0), ("", np.nan)])
def test_an_album_of_faces_without_landmarks_borrows_nothing(detector: str, yaw: float) -> None:
    with pytest.raises(UsageError, match="no threshold was measured for mobileface"):
        ClusterOptions(detector).merge_threshold(faces("mobileface", yaw=yaw))


def test_a_quality_filter_decides_which_faces_are_clustered() -> None:
    vector = np.eye(4, dtype=np.float32)[0]
    faces = [
        Face(np.float32([0, 0, size, size]), 1.0, None, Quality(size, 100.0, 0.0, 0.5))
        for size in (10.0, 60.0)
    ]
    results = [
        AnalyzedImage(f"{i}.jpg", [replace(face, embedding=Embedding(vector, "m", 1.0))])
        for i, face in enumerate(faces)
    ]
    album = cluster(results, threshold=0.5)
    assert [face.reason for face in album.unassigned] == ["too small"]
    everybody = cluster(results, threshold=0.5, quality_filter=QualityFilter(size=5))
    assert [len(person.faces) for person in everybody.people] == [2]
