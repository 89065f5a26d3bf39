"""The numbers of docs/the-2018-article.md, measured again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from shared_cards import register

import faceprint
from faceprint.vision.occlude import occlude

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
