"""Accuracy over folds, as it is published for LFW and its relatives.

The arithmetic of `fold_accuracy` is that of the ArcFace validation notebook and of InsightFace's
verification script, which go back to FaceNet's: thresholds on the squared Euclidean distance from 0
to 3.99 in steps of 0.01, "same" strictly below; the threshold with the best accuracy on the other
folds, the lowest of equals; mean and population standard deviation over the folds. A figure that
was published so can be compared with it digit for digit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceprint.errors import UsageError

__all__ = [
    "FoldAccuracy",
    "consecutive_folds",
    "cosines",
    "fold_accuracy",
    "pair_embeddings",
    "squared_distances",
]

Floats = NDArray[np.float64]

_THRESHOLDS = np.arange(0, 4, 0.01)


@dataclass(frozen=True, slots=True)
class FoldAccuracy:
    """Ten-fold accuracy, or that of any number of folds.

    Attributes:
        mean, std: over the folds' accuracies (population standard deviation).
        accuracies: of each fold, in the order of the fold numbers.
        distances: the squared distance below which pairs of the fold were called the same.
        thresholds: the same as cosine similarity, 1 - distance / 2.
        threshold: the mean of `thresholds`, the protocol's threshold in one number.
    """

    mean: float
    std: float
    accuracies: tuple[float, ...]
    distances: tuple[float, ...]
    thresholds: tuple[float, ...]
    pairs: int

    @property
    def threshold(self) -> float:
        """Mean threshold of the folds, as cosine similarity."""
        return float(np.mean(self.thresholds))


def pair_embeddings(embeddings: ArrayLike, mirrored: ArrayLike | None = None) -> Floats:
    """(n, d) rows of unit length; with the mirrored pictures' rows, of the sum of both.

    The rows go in as the network gave them, not normalized: the published figures add first. A zero
    row stays zero.

    Raises:
        UsageError: shapes that differ, NaN or infinity.
    """
    rows = np.asarray(embeddings, np.float64)
    if mirrored is not None:
        others = np.asarray(mirrored, np.float64)
        if others.shape != rows.shape:
            raise UsageError(f"embeddings {rows.shape} and mirrored ones {others.shape} differ")
        rows = rows + others
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise UsageError(f"embeddings {rows.shape} are not a finite (n, d) array")
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms == 0, 1, norms), np.float64)


def squared_distances(embeddings: Floats, left: ArrayLike, right: ArrayLike) -> Floats:
    """(p,) squared Euclidean distances of rows `left[i]` and `right[i]`, 0..4 for unit rows."""
    difference = embeddings[np.asarray(left)] - embeddings[np.asarray(right)]
    return np.asarray(np.square(difference).sum(axis=1), np.float64)


def cosines(embeddings: Floats, left: ArrayLike, right: ArrayLike) -> Floats:
    """(p,) cosine similarities of rows `left[i]` and `right[i]` of unit length."""
    a, b = embeddings[np.asarray(left)], embeddings[np.asarray(right)]
    return np.asarray(np.einsum("nd,nd->n", a, b), np.float64)


def consecutive_folds(pairs: int, folds: int = 10) -> NDArray[np.int64]:
    """(pairs,) fold numbers in equal blocks, in order; the first ones take the remainder.

    Raises:
        UsageError: fewer than two folds, or fewer pairs than folds.
    """
    if not 2 <= folds <= pairs:
        raise UsageError(f"{pairs} pairs cannot make {folds} folds; give 2 to {pairs}")
    sizes = np.full(folds, pairs // folds)
    sizes[: pairs % folds] += 1
    return np.repeat(np.arange(folds), sizes)


def fold_accuracy(
    distances: ArrayLike, mated: ArrayLike, folds: ArrayLike | int = 10
) -> FoldAccuracy:
    """Accuracy on each fold at the threshold that is best on the others.

    Args:
        distances: (n,) squared Euclidean distances of unit rows. A pair whose picture could not be
            embedded takes 4, which no threshold calls the same.
        mated: (n,) bool.
        folds: (n,) the fold of each pair, or how many consecutive folds to make.

    Raises:
        UsageError: lengths that differ, NaN, fewer than two folds.
    """
    d, labels = np.asarray(distances, np.float64), np.asarray(mated, np.bool_)
    if d.ndim != 1 or d.shape != labels.shape or np.isnan(d).any():
        raise UsageError(f"distances {d.shape} and labels {labels.shape} are not (n,) numbers")
    given = consecutive_folds(len(d), folds) if isinstance(folds, int) else np.asarray(folds)
    if given.shape != d.shape:
        raise UsageError(f"fold numbers {given.shape} do not match {len(d)} pairs")
    names = np.unique(given)
    if len(names) < 2:
        raise UsageError("one fold has no others to take a threshold from; give at least two")
    # right[t, f]: pairs of fold f that threshold t calls rightly.
    right = np.stack([_right_calls(d[given == f], labels[given == f]) for f in names], axis=1)
    sizes = np.asarray([int((given == f).sum()) for f in names])
    # Counts, not means, are compared, so that equal accuracies are equal whatever the rounding.
    best = np.argmax(right.sum(axis=1, keepdims=True) - right, axis=0)
    accuracies = right[best, np.arange(len(names))] / sizes
    chosen = _THRESHOLDS[best]
    return FoldAccuracy(
        float(accuracies.mean()),
        float(accuracies.std()),
        tuple(accuracies.tolist()),
        tuple(chosen.tolist()),
        tuple((1 - chosen / 2).tolist()),
        len(d),
    )


def _right_calls(distances: Floats, mated: NDArray[np.bool_]) -> NDArray[np.int64]:
    # side="left" counts the distances strictly below each threshold.
    same = np.searchsorted(np.sort(distances[mated]), _THRESHOLDS, side="left")
    other = np.searchsorted(np.sort(distances[~mated]), _THRESHOLDS, side="left")
    return np.asarray(same + int((~mated).sum()) - other, np.int64)
