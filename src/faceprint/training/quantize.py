"""int8 out of float32: static quantization, and the rule by which its result is taken or not.

Weights become int8 with a scale for each output channel, activations uint8 with a scale for each
tensor, from their range over a few photographs (Jacob et al. 2018, "Quantization and Training of
Neural Networks for Efficient Integer-Arithmetic-Only Inference"). PRelu and the BatchNormalization
that is left are written as depthwise convolutions beforehand, so that an IResNet stays in int8 from
its first convolution to its dense layer; with either left in float32 it converts back and forth
around each one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from faceprint._cpu import multiplies_int8
from faceprint._onnx_reader import scan
from faceprint._optional import require
from faceprint.errors import CardError, UsageError
from faceprint.types import Array
from faceprint.zoo import legacy
from faceprint.zoo.card import ModelCard, ModelFile

__all__ = ["Agreement", "Decision", "agreement", "decide", "int8_card", "quantize"]

_WEIGHTED = ("Conv", "Gemm")
_CARRIERS = ("Add", "AveragePool", "GlobalAveragePool", "MaxPool", "Pad", "Relu")
"""Operators that have no weights: left in float32 between two convolutions they would cost a
conversion each way (on dlib's network 2.1 times as fast as float32 instead of 3.0)."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cosine similarity of the two models' embeddings of the same crops."""

    mean: float
    lowest: float
    crops: int


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the int8 model is taken.

    Attributes:
        reasons: what stood against it; empty when it is taken.
    """

    kept: bool
    reasons: tuple[str, ...]


def quantize(
    model: Path, target: Path, batches: Iterable[Array], *, reduce_range: bool | None = None
) -> bool:
    """Write the int8 version of a graph.

    Args:
        model: a sound graph with one input; see `legacy.prepare`.
        batches: blobs as the graph takes them, to learn the ranges of its tensors from.
        reduce_range: weights of 7 bits; None for where the processor needs them
            (`_cpu.multiplies_int8`): with 8 its 16-bit sums saturate and the embeddings are wrong.

    Returns:
        Whether weights have 7 bits.

    Raises:
        MissingExtraError: the onnx package is not installed.
        UsageError: no batch.
        CardError: a graph that can't be quantized.
    """
    onnx = require("onnx", extra="onnx")
    from faceprint.zoo import legacy_passes, optimize_passes

    narrow = not multiplies_int8() if reduce_range is None else reduce_range
    try:
        sketch = scan(model)
    except (OSError, ValueError) as error:
        raise CardError(f"{model}: {error}") from error
    inputs = [name for name, _ in sketch.inputs if name not in sketch.dims]
    if len(inputs) != 1:
        raise CardError(f"{model}: a face model takes one input, this graph takes {len(inputs)}")
    plan = legacy.plan_of(sketch)
    plain = onnx.load_from_string(legacy_passes.rewrite(model, plan, optimize_passes.FOR_INT8))
    # Told so, the quantizer doesn't ask for a preparation that was just done.
    plain.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")
    with tempfile.TemporaryDirectory(prefix="faceprint-int8-") as place:
        base = Path(place) / "float32.onnx"
        base.write_bytes(plain.SerializeToString())
        _run_quantizer(base, target, _feeds(inputs[0], batches), narrow, model)
    return narrow


def _feeds(name: str, batches: Iterable[Array]) -> Iterator[dict[str, Array]]:
    """What the quantizer is fed; the first batch is asked for at once."""
    rest = iter(batches)
    first = next(rest, None)
    if first is None:
        raise UsageError("nothing to calibrate with: no batch was given")
    blobs = chain([first], rest)
    return ({name: np.ascontiguousarray(blob, np.float32)} for blob in blobs)


def _run_quantizer(
    base: Path, target: Path, feeds: Iterator[dict[str, Array]], narrow: bool, model: Path
) -> None:
    from faceprint._onnxruntime import quantization

    ort = quantization()

    class Reader(ort.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def get_next(self) -> dict[str, Array] | None:
            return next(feeds, None)

    per_channel = scan(base).opset >= 13  # DequantizeLinear has no axis before
    settings: dict[str, Any] = {
        "quant_format": ort.QuantFormat.QDQ,
        "op_types_to_quantize": [*_WEIGHTED, *_CARRIERS],
        "per_channel": per_channel,
        "reduce_range": narrow,
        "activation_type": ort.QuantType.QUInt8,
        "weight_type": ort.QuantType.QInt8,
        "calibrate_method": ort.CalibrationMethod.MinMax,
    }
    try:
        ort.quantize_static(str(base), str(target), Reader(), **settings)
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CardError(f"{model.name}: can't be quantized ({reason})") from error


def agreement(ours: Array, theirs: Array) -> Agreement:
    """How near the embeddings of two models of one origin are.

    Args:
        ours, theirs: (n, d), of any length; n at least 1.
    """
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines = (a * b).sum(axis=1) / np.maximum(lengths, 1e-12)
    return Agreement(float(cosines.mean()), float(cosines.min()), len(cosines))


def decide(
    speedup: float,
    accuracy: tuple[float, float] | None,
    *,
    limit: float = 0.2,
    min_speedup: float = 1.2,
) -> Decision:
    """Take the int8 model only where it is faster here and hardly less accurate.

    Args:
        speedup: how many times as fast as float32 on this machine.
        accuracy: of float32 and of int8, as shares; None where it was not measured.
        limit: percentage points that may be lost.
        min_speedup: what makes the loss worth it.
    """
    reasons = []
    if speedup < min_speedup:
        reasons.append(f"it is {speedup:.2f} x as fast on this machine, not {min_speedup:g} x")
    if accuracy is not None:
        lost = 100 * (accuracy[0] - accuracy[1])
        if lost > limit + 1e-9:
            reasons.append(f"it loses {lost:.2f} points of accuracy, more than {limit:g}")
    return Decision(not reasons, tuple(reasons))


def int8_card(card: ModelCard, card_id: str, file: ModelFile) -> ModelCard:
    """The card of the quantized model: another file, and nothing that was measured of the old one.

    Golden values go too: int8 kernels differ between processors by more than lint allows.
    """
    return replace(
        card,
        id=card_id,
        title=f"{card.title}, int8",
        description=f"{card.id} quantized to int8 by `faceprint models quantize`.",
        files=(file,),
        published=(),
        operating_points=(),
        golden=(),
        origin="",
    )
