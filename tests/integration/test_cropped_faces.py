"""Faces that fill the frame are found as in the whole photograph, landmarks where they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faceprint.evaluation.cropped import CUTS, CutResult, evaluate_cropped
from faceprint.evaluation.datasets import LabeledSet, Picture
from faceprint.vision.analyzer import load

pytestmark = pytest.mark.slow

DETECTORS = {
    "mtcnn": 0.05,
    "yunet-2023mar": 0.12,
    "scrfd-500m": 0.06,
    "retinaface-mnet025": 0.12,
}
"""The most that landmarks may move, in distances between the eyes: single-shot networks move them
more than the cascade does (docs/decisions/0012-edge-of-the-image.md)."""


@pytest.fixture(scope="module")
def photographs() -> LabeledSet:
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "faces" / "lfw"
    if not folder.is_dir():
        pytest.skip("the folder shared/faces is not here (photographs for tests)")
    files = sorted(folder.glob("*/*_0002.jpg"))[::8][:60]
    pictures = tuple(Picture(file.name, file) for file in files)
    return LabeledSet("LFW", pictures, np.arange(len(files)), [file.stem for file in files])


@pytest.fixture
def mirror(shared_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPRINT_MIRROR", str(shared_models))
    monkeypatch.setenv("FACEPRINT_ACCEPT_LICENSE", "1")


@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize("detector", DETECTORS)
def test_a_face_that_fills_the_frame_is_found_where_it_is(
    detector: str, photographs: LabeledSet
) -> None:
    names = ("whole", "margin 15 %", "margin 0", "three sides")
    cuts = {name: CUTS[name] for name in names}
    results = evaluate_cropped(photographs, load(detector=detector), (), cuts=cuts)
    found: dict[str, CutResult] = {result.cut: result for result in results}
    for name in names[1:]:
        result = found[name]
        print(detector, name, result.found, result.lost, result.landmark_shift)
        assert result.lost <= 1
        assert result.landmark_shift is not None
        assert result.landmark_shift < DETECTORS[detector]


@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize("detector", DETECTORS)
def test_a_face_that_the_edge_halves_decides_nothing(
    detector: str, photographs: LabeledSet
) -> None:
    cuts = {name: CUTS[name] for name in ("margin 0", "half outside")}
    whole, half = evaluate_cropped(photographs, load(detector=detector), (), cuts=cuts)
    print(detector, whole.found, whole.usable, half.found, half.usable)
    assert whole.usable >= 0.95 * whole.found
    assert half.usable <= 0.15 * half.photographs
