"""Golden values: a graph's outputs for a fixed pattern, to detect changed files and runtimes.

The pattern is made by integer arithmetic, so it is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from faceprint.types import Array, Image
from faceprint.zoo.card import InputContract, ModelCard

__all__ = ["Run", "golden_blob", "golden_image", "golden_values"]

Run = Callable[[Array], Sequence[Array]]
"""A loaded graph: takes one float32 blob and returns the outputs in the graph's order."""

_FREE_SIZE = {"pnet": 48, "rnet": 24, "onet": 48}
_COUNT = 8


def golden_image(width: int, height: int) -> Image:
    """Make the pattern: three triangle waves of different pitch; (height, width, 3) RGB uint8."""
    y, x = np.ogrid[0:height, 0:width]

    def wave(phase: NDArray[np.int64]) -> Image:
        return np.asarray(np.abs(phase % 510 - 255), np.uint8)

    channels = [wave(5 * x + 2 * y), wave(3 * x + 7 * y + 100), wave(11 * x + 4 * y + 200)]
    return np.stack(channels, axis=2)


def golden_blob(contract: InputContract, role: str = "model") -> Array:
    """Make the graph's input, (1, 3, height, width) or (1, height, width, 3)."""
    side = _FREE_SIZE.get(role, 640)
    image = golden_image(contract.width or side, contract.height or side).astype(np.float32)
    if contract.color == "BGR":
        image = image[:, :, ::-1]
    # In place: the largest input that a card may name takes 200 MB.
    image -= np.asarray(contract.mean, np.float32)
    image /= np.asarray(contract.std, np.float32)
    blob = image.transpose(2, 0, 1) if contract.layout == "NCHW" else image
    return np.ascontiguousarray(blob[None], np.float32)


def golden_values(card: ModelCard, runs: Mapping[str, Run]) -> tuple[float, ...]:
    """Compute a card's `golden` values.

    Args:
        card: the model.
        runs: its graphs by role.

    Returns:
        For an embedder the first eight values of the unit vector; for a detector the root mean
        square of each raw output, in the order of its files and each graph's outputs.
    """
    values: list[float] = []
    for file in card.files:
        if file.role not in runs:
            continue
        outputs = runs[file.role](golden_blob(card.input, file.role))
        if card.task == "embed":
            vector = np.asarray(outputs[0], np.float64).reshape(-1)
            values.extend(vector[:_COUNT] / max(float(np.linalg.norm(vector)), 1e-12))
        else:
            values.extend(_rms(output) for output in outputs)
    return tuple(round(float(value), 7) for value in values)


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
