"""Geometry against brute force and against linear algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from faceprint.geometry import iou_matrix, letterbox, nms, similarity_transforms

TEMPLATE = np.asarray(
    [(38.29, 51.69), (73.53, 51.50), (56.02, 71.73), (41.54, 92.36), (70.72, 92.20)]
)


def moved(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def umeyama_by_svd(source: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Umeyama 1991, equations 38 to 43, with weights: an independent way to the same optimum."""
    w = weights / weights.sum()
    mean_s, mean_t = w @ source, w @ target
    s, t = source - mean_s, target - mean_t
    covariance = (t * w[:, None]).T @ s
    u, d, vt = np.linalg.svd(covariance)
    sign = np.diag([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ sign @ vt
    scale = np.trace(np.diag(d) @ sign) / (w @ (s**2).sum(axis=1))
    return np.column_stack([scale * rotation, mean_t - scale * rotation @ mean_s])


@settings(max_examples=60)
@given(
    hnp.arrays(np.float64, (3, 5, 2), elements=st.floats(-30, 30)),
    hnp.arrays(np.float64, 5, elements=st.floats(0.1, 5)),
)
def test_similarity_is_umeyamas_optimum(noise: np.ndarray, weights: np.ndarray) -> None:
    source = TEMPLATE + noise
    found = similarity_transforms(source, TEMPLATE, weights)
    for points, matrix in zip(source, found, strict=True):
        wanted = umeyama_by_svd(points, TEMPLATE, weights)
        error = (weights[:, None] * (moved(matrix, points) - TEMPLATE) ** 2).sum()
        best = (weights[:, None] * (moved(wanted, points) - TEMPLATE) ** 2).sum()
        # Umeyama's optimum forbids reflections, as ours does; where they tie, the errors agree.
        assert error == pytest.approx(best, rel=1e-3, abs=1e-3)


@given(st.floats(-3.1, 3.1), st.floats(0.05, 20), st.floats(-500, 500), st.floats(-500, 500))
def test_similarity_recovers_a_known_transform(
    angle: float, scale: float, dx: float, dy: float
) -> None:
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    source = (TEMPLATE - [dx, dy]) @ np.linalg.inv(rotation).T
    matrix = similarity_transforms(source[None], TEMPLATE)
    np.testing.assert_allclose(moved(matrix[0], source), TEMPLATE, atol=0.05)


def test_coincident_points_give_a_shift_and_no_nan() -> None:
    matrix = similarity_transforms(np.full((1, 5, 2), 7.0), TEMPLATE)
    np.testing.assert_allclose(matrix[0, :, :2], np.eye(2), atol=1e-6)
    np.testing.assert_allclose(matrix[0, :, 2], TEMPLATE.mean(axis=0) - 7.0, rtol=1e-5)


def test_iou_of_boxes_worked_out_by_hand() -> None:
    a = np.float32([[0, 0, 2, 2]])
    b = np.float32([[1, 1, 3, 3], [0, 0, 2, 2], [5, 5, 6, 6], [2, 2, 1, 1]])
    np.testing.assert_allclose(iou_matrix(a, b), [[1 / 7, 1, 0, 0]], atol=1e-6)


def greedy(boxes: np.ndarray, scores: np.ndarray, threshold: float, minimum: bool) -> list[int]:
    """The textbook loop."""
    order = list(np.argsort(-scores, kind="stable"))
    kept: list[int] = []
    while order:
        best = order.pop(0)
        kept.append(int(best))
        rest = []
        for other in order:
            w = min(boxes[best, 2], boxes[other, 2]) - max(boxes[best, 0], boxes[other, 0])
            h = min(boxes[best, 3], boxes[other, 3]) - max(boxes[best, 1], boxes[other, 1])
            inner = max(w, 0) * max(h, 0)
            areas = [np.prod(np.maximum(boxes[i, 2:] - boxes[i, :2], 0)) for i in (best, other)]
            base = min(areas) if minimum else sum(areas) - inner
            if np.float32(inner / max(base, 1e-9)) <= threshold:
                rest.append(other)
        order = rest
    return kept


@settings(max_examples=80)
@given(st.integers(0, 60), st.integers(0, 10_000), st.sampled_from([0.3, 0.5, 0.7]), st.booleans())
def test_nms_is_the_greedy_loop(n: int, seed: int, threshold: float, minimum: bool) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 30, (n, 2)).astype(np.float32)
    boxes = np.concatenate([corner, corner + rng.integers(1, 20, (n, 2))], axis=1).astype(
        np.float32
    )
    scores = rng.random(n).astype(np.float32)
    assert nms(boxes, scores, threshold, over_minimum=minimum).tolist() == greedy(
        boxes, scores, threshold, minimum
    )


def test_nms_of_very_many_boxes_is_the_same() -> None:
    rng = np.random.default_rng(3)
    corner = rng.random((2500, 2)).astype(np.float32) * 300
    boxes = np.concatenate([corner, corner + 20], axis=1)
    scores = rng.random(2500).astype(np.float32)
    some = scores >= np.sort(scores)[-1500]
    kept = set(nms(boxes, scores, 0.4)) & set(np.flatnonzero(some))
    assert kept == set(np.flatnonzero(some)[nms(boxes[some], scores[some], 0.4)])


def test_nms_groups_never_meet() -> None:
    boxes = np.float32([[0, 0, 9, 9]] * 4)
    kept = nms(boxes, np.float32([0.1, 0.2, 0.3, 0.4]), 0.5, groups=np.array([0, 1, 0, 1]))
    assert kept.tolist() == [3, 2]


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([0.0, 0.2]))
def test_letterbox_and_back(width: int, height: int, margin: float) -> None:
    box = letterbox((width, height), (640, 480), margin=margin)
    corners = np.float32([[0, 0], [width, height]])
    canvas = corners * box.scale + np.float32([box.left, box.top])
    assert (canvas >= -1).all()
    assert (canvas <= np.float32([641, 481])).all()
    np.testing.assert_allclose(box.undo(canvas), corners, rtol=1e-4, atol=1e-2)


def test_many_groups_suppress_as_each_would_alone() -> None:
    rng = np.random.default_rng(7)
    corners = rng.uniform(0, 60, (900, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 40, (900, 2))], 1).astype(np.float32)
    scores = rng.permutation(900).astype(np.float32)
    groups = rng.integers(0, 7, 900)
    kept = nms(boxes, scores, 0.4, groups=groups)
    assert (np.diff(scores[kept]) < 0).all(), "best first, across groups"
    for group in range(7):
        mine = np.flatnonzero(groups == group)
        alone = mine[nms(boxes[mine], scores[mine], 0.4)]
        np.testing.assert_array_equal(kept[groups[kept] == group], alone)
