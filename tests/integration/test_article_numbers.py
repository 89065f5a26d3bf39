"""The numbers of docs/the-2018-article.md and docs/concepts.md, measured again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from shared_cards import register

import faceprint
from faceprint.vision.occlude import occlude
from faceprint.zoo.catalog import get_card

PAGE = (Path(__file__).parents[2] / "docs" / "the-2018-article.md").read_text("utf-8")
SAMPLES = Path(faceprint.__file__).parent / "samples"


def column(number: int) -> list[float]:
    """The three similarities of a column of the table."""
    rows = re.findall(r"^\| [123]\. [^|]*(?: and |two )[^|]*\|.*\|$", PAGE, re.MULTILINE)[-3:]
    return [float(row.split("|")[number]) for row in rows]


def measured(analyzer: faceprint.FaceAnalyzer) -> list[float]:
    obama, obama2, collins = (
        faceprint.decode(SAMPLES / f"{name}.jpg") for name in ("obama", "obama2", "collins")
    )
    covered = occlude(collins, analyzer.analyze(collins, embed=False)[0])
    pairs = ((obama, obama2), (obama, collins), (collins, covered))
    return [faceprint.verify(*pair, analyzer=analyzer, threshold=0.5).similarity for pair in pairs]


def test_starter() -> None:
    assert measured(faceprint.load(threads=1)) == pytest.approx(column(3), abs=1.5e-3)


def test_w600k_mbf(shared_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPRINT_MIRROR", str(shared_models))
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path))
    register(shared_models, tmp_path / "cards-here")
    analyzer = faceprint.load(
        detector="mtcnn", embedder="w600k-mbf-dequant", threads=1, accept_license=True
    )
    assert measured(analyzer) == pytest.approx(column(4), abs=1.5e-3)


def test_three_scales(shared_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of docs/concepts.md."""
    monkeypatch.setenv("FACEPRINT_MIRROR", str(shared_models))
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path))
    register(shared_models, tmp_path / "cards-here")
    page = (Path(__file__).parents[2] / "docs" / "concepts.md").read_text("utf-8")
    embedders = ("dlib-resnet", "mobileface", "w600k-mbf-dequant")
    for column, embedder in enumerate(embedders, 2):
        mated, non_mated, threshold = (
            float(re.search(rf"^\| {row}.*$", page, re.MULTILINE)[0].split("|")[column])
            for row in ("one person", "two people", "threshold")
        )
        analyzer = faceprint.load(
            detector="mtcnn", embedder=embedder, threads=1, accept_license=True
        )
        assert measured(analyzer)[:2] == pytest.approx([mated, non_mated], abs=1.5e-3)
        card = get_card(embedder.removesuffix("-dequant"))
        points = [entry.point for entry in card.operating_points if entry.detector == "mtcnn"]
        (point,) = [point for point in points if point.fmr == 1e-3]
        assert point.threshold == pytest.approx(threshold, abs=1e-3)
