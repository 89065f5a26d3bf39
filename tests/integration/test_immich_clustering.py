"""BCubed F of photographs that go through Immich's door and are sorted by Immich's own rule."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import numpy as np
import pytest
import shared_cards
from live_server import served
from sklearn.cluster import DBSCAN

import faceprint
from faceprint.evaluation.cluster_scores import cluster_scores
from faceprint.server.app import ServiceOptions, create_app

_MAX_DISTANCE, _MIN_FACES, _MIN_SCORE = 0.5, 3, 0.7
"""Immich's defaults for facial recognition."""

_ADVISED = 0.6
"""The maximum distance that docs/rest.md advises for this embedder."""

_ENTRIES = json.dumps(
    {
        "facial-recognition": {
            "detection": {"modelName": "buffalo_l", "options": {"minScore": _MIN_SCORE}},
            "recognition": {"modelName": "buffalo_l"},
        }
    }
)


@pytest.fixture
def analyzer(
    shared_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> faceprint.FaceAnalyzer:
    """Models whose embeddings Immich can store."""
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPRINT_MIRROR", str(shared_models))
    shared_cards.register(shared_models, tmp_path / "cards")
    return faceprint.load(
        detector="yunet-2023mar", embedder="w600k-mbf-dequant", accept_license=True
    )


def two_hundred(folder: Path) -> list[Path]:
    """The first 200 photographs of people of whom there are three or more."""
    people = sorted(path for path in folder.iterdir() if path.is_dir())
    photographs = [sorted(person.glob("*.jpg")) for person in people]
    return [path for own in photographs if len(own) >= _MIN_FACES for path in own][:200]


@pytest.mark.slow
def test_the_door_costs_immich_no_accuracy(
    analyzer: faceprint.FaceAnalyzer, shared_faces: Path
) -> None:
    paths = two_hundred(shared_faces / "facescrub")
    assert len(paths) == 200
    people, vectors = [], []
    app = create_app(analyzer, ServiceOptions(doors=("immich",)))
    with served(app) as address, httpx.Client(base_url=address, timeout=60) as client:
        for path in paths:
            files = {"image": ("blob", path.read_bytes())}
            answer = client.post("/predict", data={"entries": _ENTRIES}, files=files)
            for face in answer.raise_for_status().json()["facial-recognition"]:
                people.append(path.parent.name)
                vectors.append(json.loads(face["embedding"]))
    results = list(analyzer.analyze_many(paths))
    faces = [(r.source, f.embedding) for r in results for f in r.faces if f.score >= _MIN_SCORE]
    owners = [Path(str(source)).parent.name for source, _ in faces]
    direct = [embedding.vector for _, embedding in faces if embedding is not None]
    found = {}
    for distance in (_MAX_DISTANCE, _ADVISED):
        immich = by_immichs_rule(people, vectors, distance)
        found[distance] = immich, clustered(results, 1 - distance)
        print(f"distance {distance}: Immich's rule {immich:.4f}; cluster {found[distance][1]:.4f}")
        assert immich == pytest.approx(by_immichs_rule(owners, direct, distance), abs=0.01)
        # Average linkage at the same number joins less than Immich's rule, so it may find fewer.
        assert immich > found[distance][1] - 0.01
    assert found[_ADVISED][0] == pytest.approx(found[_ADVISED][1], abs=0.01)
    assert found[_ADVISED][0] > found[_MAX_DISTANCE][0] + 0.05


@pytest.mark.slow
def test_the_advice_costs_nothing_on_wide_photographs(
    analyzer: faceprint.FaceAnalyzer, shared_faces: Path
) -> None:
    results = list(analyzer.analyze_many(two_hundred(shared_faces / "lfw")))
    faces = [(r.source, f.embedding) for r in results for f in r.faces if f.score >= _MIN_SCORE]
    owners = [Path(str(source)).parent.name for source, _ in faces]
    vectors = [embedding.vector for _, embedding in faces if embedding is not None]
    default, advised, far = (
        by_immichs_rule(owners, vectors, distance) for distance in (_MAX_DISTANCE, _ADVISED, 0.75)
    )
    print(f"LFW: {default:.4f} at the default, {advised:.4f} as advised, {far:.4f} at 0.75")
    assert advised >= default - 0.01
    assert far < advised - 0.1, "people are mixed up"


def clustered(results: list[faceprint.AnalyzedImage], threshold: float) -> float:
    """BCubed F of `cluster` at a constant threshold."""
    album = faceprint.cluster(results, threshold=threshold)
    found = [(face.source, person.id) for person in album.people for face in person.faces]
    found += [(face.source, -1) for face in album.unassigned]
    owners = [Path(source).parent.name for source, _ in found]
    return float(cluster_scores(owners, [person for _, person in found]).bcubed.f)


def by_immichs_rule(people: list[str], vectors: list[np.ndarray], distance: float) -> float:
    """BCubed F; a face with two others in reach founds a person, and faces in reach of it join."""
    rule = DBSCAN(eps=distance, min_samples=_MIN_FACES, metric="cosine")
    return float(cluster_scores(people, rule.fit_predict(np.asarray(vectors))).bcubed.f)
