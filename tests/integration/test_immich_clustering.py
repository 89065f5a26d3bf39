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
    immich = by_immichs_rule(people, vectors)

    results = list(analyzer.analyze_many(paths))
    faces = [(r.source, f.embedding) for r in results for f in r.faces if f.score >= _MIN_SCORE]
    direct = by_immichs_rule(
        [Path(str(source)).parent.name for source, _ in faces],
        [embedding.vector for _, embedding in faces if embedding is not None],
    )
    album = faceprint.cluster(results, threshold=1 - _MAX_DISTANCE)
    found = [(face.source, person.id) for person in album.people for face in person.faces]
    found += [(face.source, -1) for face in album.unassigned]
    owners = [Path(source).parent.name for source, _ in found]
    ours = cluster_scores(owners, [person for _, person in found]).bcubed.f
    print(f"Immich's rule {immich:.4f} through the door, {direct:.4f} without; cluster {ours:.4f}")
    assert immich == pytest.approx(direct, abs=0.01)
    # Average linkage at the same number joins less than Immich's rule, so it may find fewer.
    assert immich > ours - 0.01


def by_immichs_rule(people: list[str], vectors: list[np.ndarray]) -> float:
    """BCubed F; a face with two others in reach founds a person, and faces in reach of it join."""
    rule = DBSCAN(eps=_MAX_DISTANCE, min_samples=_MIN_FACES, metric="cosine")
    return float(cluster_scores(people, rule.fit_predict(np.asarray(vectors))).bcubed.f)
