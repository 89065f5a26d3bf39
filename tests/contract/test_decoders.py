"""What every single-shot decoder owes: the faces that were put in, and on real photographs.

Outputs are made by the papers' encodings, face by face, so that a decoder must undo them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceprint.errors import CardError, ModelError
from faceprint.runtime.session import SessionInfo, TensorSpec
from faceprint.vision.detect.single_shot import DECODERS, SingleShotDetector
from faceprint.zoo.catalog import get_card

CANVAS = (160, 96)
BOX = (40.0, 20.0, 100.0, 90.0)
POINTS = ((55.0, 45.0), (83.5, 44.0), (70.0, 58.0), (58.0, 75.0), (81.0, 76.0))
Outputs = dict[str, np.ndarray]


def _counts(strides: tuple[int, ...], anchors: int) -> list[int]:
    return [(CANVAS[0] // s) * (CANVAS[1] // s) * anchors for s in strides]


def _yunet(stride: int, column: int, row: int, score: float) -> Outputs:
    out: Outputs = {}
    for s, n in zip((8, 16, 32), _counts((8, 16, 32), 1), strict=True):
        for name, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            out[f"{name}_{s}"] = np.zeros((1, n, width), np.float32)
    at = row * (CANVAS[0] // stride) + column
    x1, y1, x2, y2 = BOX
    out[f"cls_{stride}"][0, at] = score
    out[f"obj_{stride}"][0, at] = score
    out[f"bbox_{stride}"][0, at] = (
        (x1 + x2) / 2 / stride - column,
        (y1 + y2) / 2 / stride - row,
        math.log((x2 - x1) / stride),
        math.log((y2 - y1) / stride),
    )
    points = [(x / stride - column, y / stride - row) for x, y in POINTS]
    out[f"kps_{stride}"][0, at] = np.ravel(points)
    return out


def _scrfd(
    stride: int,
    column: int,
    row: int,
    score: float,
    strides: tuple[int, ...] = (8, 16, 32),
    anchors: int = 2,
) -> Outputs:
    out: Outputs = {}
    for s, n in zip(strides, _counts(strides, anchors), strict=True):
        for name, width in (("score", 1), ("box", 4), ("points", 10)):
            out[f"{name}{s}"] = np.zeros((n, width), np.float32)
    at = (row * (CANVAS[0] // stride) + column) * anchors + anchors - 1
    x, y = column * stride, row * stride
    out[f"score{stride}"][at] = score
    sides = (x - BOX[0], y - BOX[1], BOX[2] - x, BOX[3] - y)
    out[f"box{stride}"][at] = np.asarray(sides) / stride
    out[f"points{stride}"][at] = np.ravel([((a - x) / stride, (b - y) / stride) for a, b in POINTS])
    return out


def _retinaface(stride: int, column: int, row: int, score: float) -> Outputs:
    total = sum(_counts((8, 16, 32), 2))
    loc, conf, landm = (np.zeros((1, total, width), np.float32) for width in (4, 2, 10))
    conf[..., 0] = 1
    # The published prior list, spelled out prior by prior.
    priors = [
        (s, j, i, side)
        for s, sides in ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))
        for i in range(CANVAS[1] // s)
        for j in range(CANVAS[0] // s)
        for side in sides
    ]
    side = {8: 32, 16: 64, 32: 512}[stride]
    at = priors.index((stride, column, row, side))
    cx, cy = (column + 0.5) * stride, (row + 0.5) * stride
    x1, y1, x2, y2 = BOX
    loc[0, at] = (
        ((x1 + x2) / 2 - cx) / (0.1 * side),
        ((y1 + y2) / 2 - cy) / (0.1 * side),
        math.log((x2 - x1) / side) / 0.2,
        math.log((y2 - y1) / side) / 0.2,
    )
    conf[0, at] = (1 - score, score)
    landm[0, at] = np.ravel([((x - cx) / (0.1 * side), (y - cy) / (0.1 * side)) for x, y in POINTS])
    return {"a": loc, "b": conf, "c": landm}


def _ultraface(stride: int, column: int, row: int, score: float) -> Outputs:
    scores, boxes = np.zeros((1, 300, 2), np.float32), np.zeros((1, 300, 4), np.float32)
    at = (column * 7 + row * 31 + stride) % 300
    scores[0, at] = (1 - score, score)
    boxes[0, at] = np.asarray(BOX) / (*CANVAS, *CANVAS)
    return {"scores": scores, "boxes": boxes}


ENCODERS: dict[str, Callable[[int, int, int, float], Outputs]] = {
    "yunet": _yunet,
    "scrfd": _scrfd,
    "retinaface": _retinaface,
    "ultraface": _ultraface,
}
CELLS = st.sampled_from((8, 16, 32)).flatmap(
    lambda s: st.tuples(
        st.just(s), st.integers(0, CANVAS[0] // s - 1), st.integers(0, CANVAS[1] // s - 1)
    )
)
each_decoder = pytest.mark.parametrize("name", sorted(DECODERS))


def test_every_decoder_is_under_this_contract() -> None:
    assert set(DECODERS) == set(ENCODERS)


@each_decoder
@settings(max_examples=40, deadline=None)
@given(cell=CELLS, score=st.floats(0.61, 1.0), order=st.randoms(use_true_random=False))
def test_the_face_that_was_encoded_comes_out_whatever_the_names_and_order(
    name: str, cell: tuple[int, int, int], score: float, order: object
) -> None:
    outputs = list(ENCODERS[name](*cell, score).values())
    order.shuffle(outputs)
    numbered = {str(index): part for index, part in enumerate(outputs)}
    (faces,) = DECODERS[name](numbered, canvas=CANVAS, score_threshold=0.6)
    np.testing.assert_allclose(faces.boxes, [BOX], atol=2e-3)
    np.testing.assert_allclose(faces.scores, [score], atol=1e-6)
    if name == "ultraface":
        assert faces.landmarks is None
    else:
        np.testing.assert_allclose(faces.landmarks, [POINTS], atol=2e-3)


@each_decoder
def test_below_the_threshold_is_nobody(name: str) -> None:
    (faces,) = DECODERS[name](ENCODERS[name](16, 4, 2, 0.59), canvas=CANVAS, score_threshold=0.6)
    assert len(faces) == 0


@each_decoder
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_not_finite_are_an_error_not_an_empty_photograph(
    name: str, value: float
) -> None:
    outputs = ENCODERS[name](16, 4, 2, 0.9)
    for key, part in outputs.items():
        broken = {**outputs, key: np.full_like(part, value)}
        with pytest.raises(ModelError, match="NaN or infinity"), np.errstate(invalid="ignore"):
            DECODERS[name]({**broken}, canvas=CANVAS, score_threshold=-1.0)


@each_decoder
def test_outputs_of_another_decoder_or_canvas_are_refused(name: str) -> None:
    for other, encode in ENCODERS.items():
        if other != name:
            with pytest.raises(CardError, match="not"):
                DECODERS[name](encode(16, 4, 2, 0.9), canvas=CANVAS, score_threshold=0.6)
    if name != "ultraface":
        with pytest.raises(CardError, match="candidates"):
            outputs = ENCODERS[name](16, 4, 2, 0.9)
            DECODERS[name](outputs, canvas=(320, 320), score_threshold=0.6)


@each_decoder
def test_a_batch_is_decoded_image_by_image(name: str) -> None:
    first, second = ENCODERS[name](8, 3, 4, 0.9), ENCODERS[name](32, 2, 1, 0.8)
    both = {
        key: np.stack([first[key].reshape(part.shape[-2:]), part.reshape(part.shape[-2:])])
        for key, part in second.items()
    }
    faces = DECODERS[name](both, canvas=CANVAS, score_threshold=0.6)
    np.testing.assert_allclose(np.stack([part.scores for part in faces]), [[0.9], [0.8]], atol=1e-5)
    empty = {key: np.zeros_like(part) for key, part in both.items()}
    nobody = DECODERS[name](empty, canvas=CANVAS, score_threshold=0.6)
    assert [len(part) for part in nobody] == [0, 0]


def test_scrfd_without_key_points_and_with_five_strides() -> None:
    plain = {key: part for key, part in _scrfd(16, 4, 2, 0.9).items() if "points" not in key}
    (faces,) = DECODERS["scrfd"](plain, canvas=CANVAS, score_threshold=0.6)
    assert faces.landmarks is None
    np.testing.assert_allclose(faces.boxes, [BOX], atol=1e-4)


def test_scrfd_with_five_strides_has_one_anchor_a_cell() -> None:
    def cells(stride: int) -> int:
        return (256 // stride) ** 2

    outputs = {
        f"{width} {s}": np.zeros((cells(s), width), np.float32)
        for s in (8, 16, 32, 64, 128)
        for width in (1, 4, 10)
    }
    outputs["1 128"][3] = 0.9
    outputs["4 128"][3] = (0.5, 0.25, 0.125, 0.5)
    (faces,) = DECODERS["scrfd"](outputs, canvas=(256, 256), score_threshold=0.6)
    np.testing.assert_allclose(faces.boxes, [(64, 96, 144, 192)])


class _Flat:
    """SCRFD's way of flattening the batch into the rows, cell by cell: no decoder can undo it."""

    info = SessionInfo(
        "fake",
        "1",
        "cpu",
        (TensorSpec("x", (None, 3, CANVAS[1], CANVAS[0])),),
        tuple(TensorSpec(name, (None, part.shape[1])) for name, part in _scrfd(8, 0, 0, 1).items()),
    )

    def run(self, blob: np.ndarray) -> tuple[np.ndarray, ...]:
        assert len(blob) == 1
        return tuple(_scrfd(16, 4, 2, 0.9).values())


def test_graphs_without_a_batch_axis_see_one_image_at_a_time() -> None:
    detector = SingleShotDetector(_Flat(), get_card("scrfd-500m"))
    found = detector.detect([np.zeros((CANVAS[1], CANVAS[0], 3), np.uint8)] * 3)
    np.testing.assert_allclose(np.concatenate([part.boxes for part in found]), [BOX] * 3, atol=1e-3)
