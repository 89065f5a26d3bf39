"""`faceprint verify` with every detector and every embedder that is here, on two photographs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from shared_cards import DERIVED, register

from faceprint.cli.app import main
from faceprint.errors import UsageError
from faceprint.recognition.thresholds.default_threshold import decide_by
from faceprint.similarity import similarity_matrix
from faceprint.vision.analyzer import load
from faceprint.zoo import store
from faceprint.zoo.card import ModelCard
from faceprint.zoo.catalog import all_cards

DETECTORS = (
    *("mtcnn", "yunet-2023mar", "scrfd-500m", "scrfd-2.5g", "retinaface-mnet025"),
    "ultraface-rfb-320",
)
EMBEDDERS = ("dlib-resnet", "mobileface", *DERIVED)
# Far from both sides for each embedder: the photographs are easy ones.
# Its own point at FMR 1e-2, measured with MTCNN.
THRESHOLDS = {"dlib-resnet": 0.914}
DEFAULT = 0.35


@pytest.fixture(scope="module")
def home(
    shared_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ModelCard, ...]]:
    """A home with everything pulled, shared by the tests of this module."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEPRINT_HOME", str(folder))
        patch.setenv("FACEPRINT_MIRROR", str(shared_models))
        patch.setenv("FACEPRINT_OFFLINE", "1")
        register(shared_models, folder / "own")
        cards = {card.id: card for card in all_cards()}
        for card_id in (*DETECTORS, *EMBEDDERS):
            store.ensure(cards[card_id], accept_license=True)
        patch.delenv("FACEPRINT_MIRROR")
        yield tuple(card for card in cards.values() if store.is_ready(card))


def test_nothing_that_is_here_is_left_out(home: tuple[ModelCard, ...]) -> None:
    assert {card.id for card in home} == {*DETECTORS, *EMBEDDERS}


@pytest.mark.parametrize("embedder", EMBEDDERS)
@pytest.mark.parametrize("detector", DETECTORS)
def test_verify(
    home: tuple[ModelCard, ...],
    detector: str,
    embedder: str,
    shared_samples: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = next(Path(card.origin) for card in home if card.origin != "packaged").parents[1]
    monkeypatch.setenv("FACEPRINT_HOME", str(folder))
    monkeypatch.setenv("FACEPRINT_OFFLINE", "1")
    threshold = THRESHOLDS.get(embedder, DEFAULT)
    for other, match in (("obama2.jpg", True), ("biden.jpg", False)):
        photographs = [str(shared_samples / name) for name in ("obama.jpg", other)]
        words = ["verify", *photographs, "--detector", detector, "--embedder", embedder]
        with pytest.raises(SystemExit) as left:
            main([*words, "--threshold", str(threshold), "--threads", "1", "--json"])
        document = json.loads(capsys.readouterr().out)
        assert document["match"] is match, document["similarity"]
        assert left.value.code == (0 if match else 1)
        assert document["embedder"] == embedder
        for face in document["faces"]:
            assert (face["landmarks"] is None) == (detector == "ultraface-rfb-320")


@pytest.mark.slow
@pytest.mark.parametrize("data_set", ["lfw", "facescrub"])
@pytest.mark.parametrize("embedder", EMBEDDERS)
@pytest.mark.parametrize("detector", DETECTORS)
def test_a_rate_that_is_cited_is_kept_within_three_times(
    home: tuple[ModelCard, ...],
    detector: str,
    embedder: str,
    data_set: str,
    shared_faces: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = next(Path(card.origin) for card in home if card.origin != "packaged").parents[1]
    monkeypatch.setenv("FACEPRINT_HOME", str(folder))
    monkeypatch.setenv("FACEPRINT_OFFLINE", "1")
    fp = load(detector=detector, embedder=embedder, threads=1)
    try:
        point = decide_by(fp).point
    except UsageError:
        # Boxes alone, or a model of the user's that nobody measured.
        assert detector == "ultraface-rfb-320" or embedder in DERIVED
        return
    if point.fmr is None:
        assert point.provisional
        return
    people = sorted(path for path in (shared_faces / data_set).iterdir() if path.is_dir())[:60]
    found = fp.analyze_many([min(person.iterdir()) for person in people])
    faces = [result.faces[0].embedding for result in found if result.faces]
    rows = np.stack([embedding.vector for embedding in faces if embedding is not None])
    pairs = similarity_matrix(rows, rows)[np.triu_indices(len(rows), 1)]
    assert len(pairs) > 1_000
    assert (pairs >= point.threshold).mean() <= 3 * point.fmr
