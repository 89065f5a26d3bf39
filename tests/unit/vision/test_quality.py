"""Quality from an embedding, its table on a card, and what follows from it."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest

from faceprint.errors import CardError
from faceprint.types import (
    Embedding,
    Identification,
    Match,
    Quality,
)
from faceprint.vision.quality import QualityAssessor
from faceprint.zoo.card import ModelCard, QualityMeasure
from faceprint.zoo.card_io import card_hash, card_toml, parse_card
from faceprint.zoo.card_quality import pack_centers, unpack_centers
from faceprint.zoo.catalog import get_card

KNOTS = ((-1.0, 0.0), (0.0, 0.5), (1.0, 1.0))
CROP = Quality(50.0, 120.0, 0.1, 0.4)


def card(measure: QualityMeasure | None) -> ModelCard:
    return replace(get_card("dlib-resnet"), dim=4, quality=measure)


def axis(index: int) -> Embedding:
    return Embedding(np.eye(4, dtype=np.float32)[index], "toy", 2.0)


def test_the_nearer_to_a_center_the_poorer() -> None:
    centers = pack_centers(np.eye(4, dtype=np.float32)[:2])
    assessor = QualityAssessor(card(QualityMeasure(KNOTS, centers=centers)))
    # Cosine 1 to a center, 0 to all, and 0.6 to the second.
    assert assessor.from_embedding(CROP, axis(0)).value == pytest.approx(0.001)
    assert assessor.from_embedding(CROP, axis(3)).value == pytest.approx(0.5)
    between = Embedding(np.asarray((0, 0.6, 0.8, 0), np.float32), "toy", 2.0)
    assert assessor.from_embedding(CROP, between).value == pytest.approx(0.2)
    assert assessor.from_embedding(CROP, between).measure == "embedding"
    assert assessor.from_embedding(CROP, between).size == 50.0


def test_the_longer_the_better() -> None:
    measure = QualityMeasure(((0.0, 0.0), (1.0, 0.5), (3.0, 1.0)), norm=0.5)
    assert QualityAssessor(card(measure)).from_embedding(CROP, axis(0)).value == pytest.approx(0.5)
    # Two crops were added up: each is half as long.
    mirrored = QualityAssessor(card(measure), mirrored=True)
    assert mirrored.from_embedding(CROP, axis(0)).value == pytest.approx(0.25)


def test_without_a_measure_the_crop_tells() -> None:
    assert QualityAssessor(card(None)).from_embedding(CROP, axis(0)) is CROP


def test_nonsense_stays_at_zero() -> None:
    nonsense = replace(CROP, value=0.0, landmarks_plausible=False)
    measure = QualityMeasure(KNOTS, norm=1.0)
    assert QualityAssessor(card(measure)).from_embedding(nonsense, axis(0)).value == 0


def test_a_card_keeps_its_table_and_its_hash() -> None:
    plain = get_card("dlib-resnet")
    centers = pack_centers(np.random.default_rng(0).normal(size=(3, 128)).astype(np.float32))
    with_table = replace(plain, quality=QualityMeasure(KNOTS, 0.25, centers, "a test"))
    read = parse_card(card_toml(with_table), where="x.toml", origin="packaged")
    assert read.quality == with_table.quality
    assert card_hash(read) == card_hash(replace(plain, quality=None))


def test_centers_survive_packing() -> None:
    rows = np.random.default_rng(1).normal(size=(5, 128)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    back = unpack_centers(QualityMeasure(KNOTS, centers=pack_centers(rows)))
    assert np.einsum("nd,nd->n", rows, back).min() > 0.9995


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"knots": ((0.0, 0.0), (0.0, 1.0))}, "knots"),
        ({"knots": ((0.0, 0.5), (1.0, 0.2))}, "knots"),
        ({"knots": ((0.0, 0.0), (1.0, 1.5))}, "from 0 to 1"),
        ({"norm": -1.0}, "negative"),
        ({"norm": 0.0}, "must be given"),
        ({"centers": ("%%%",)}, "base64"),
        ({"centers": (base64.b64encode(bytes(5)).decode(),)}, "5 bytes"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(table: dict[str, object], problem: str) -> None:
    measure = replace(QualityMeasure(KNOTS, 1.0, (), "a test"), **table)  # type: ignore[arg-type]
    text = card_toml(replace(get_card("dlib-resnet"), quality=measure))
    with pytest.raises(CardError, match=problem):
        parse_card(text, where="x.toml", origin="packaged")


def test_a_detector_has_no_such_table() -> None:
    measure = QualityMeasure(KNOTS, 1.0, (), "a test")
    text = card_toml(replace(get_card("mtcnn"), quality=measure))
    with pytest.raises(CardError, match="detector"):
        parse_card(text, where="x.toml", origin="packaged")


def test_an_undecided_search_names_nobody() -> None:
    found = Identification((Match("ada", "1", 0.9, 1),), 0.5)
    assert found.subject == "ada" and found.decidable
    undecided = replace(found, reason="quality 0.10 is below 0.50")
    assert undecided.subject is None and not undecided.decidable
    assert [match.subject for match in undecided] == ["ada"]
