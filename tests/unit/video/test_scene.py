import numpy as np
import pytest
from video_clips import clip

from faceprint.video.scene import CutDetector


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Means of blocks, (18, 32)."""
    gray = image[:234].mean(axis=2)
    return gray.reshape(18, 13, 32, 10).mean(axis=(1, 3)).astype(np.uint8)


def cuts(name: str) -> list[int]:
    detector = CutDetector()
    return [i for i, f in enumerate(clip(name).frames) if detector.is_cut(thumbnail(f))]


def test_a_cut_is_found_where_it_is() -> None:
    assert cuts("cut") == [40]


@pytest.mark.parametrize("name", ["pan", "zoom", "fade", "crossing", "occlusion", "comes_back"])
def test_what_moves_is_no_cut(name: str) -> None:
    assert cuts(name) == []


def test_a_picture_of_another_size_is_no_cut() -> None:
    detector = CutDetector()
    assert not detector.is_cut(np.zeros((18, 32), np.uint8))
    assert not detector.is_cut(np.full((9, 16), 255, np.uint8))
