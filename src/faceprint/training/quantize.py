"""Quantize a float32 graph to int8, and decide whether the result is worth keeping.

Weights become int8 with one scale per output channel, activations uint8 with one scale per tensor,
set from their range over a few photographs (Jacob et al. 2018, "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference"). PRelu and remaining BatchNormalization
are first written as depthwise convolutions. An IResNet then stays in int8 from its first
convolution to its dense layer, instead of converting back and forth around each of them.
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
from faceprint.zoo.card import ModelCard, ModelFile
from faceprint.zoo.graph_editing import rewrite
from faceprint.zoo.graph_traits import legacy_traits
from faceprint.zoo.optimize_passes import FOR_INT8

__all__ = ["Agreement", "Decision", "agreement", "decide", "int8_card", "quantize"]

_WEIGHTED = ("Conv", "Gemm")
_CARRIERS = ("Add", "AveragePool", "GlobalAveragePool", "MaxPool", "Pad", "Relu")
"""Operators without weights. Left in float32 between two convolutions, they would cost a conversion
each way (on dlib's network 2.1 times as fast as float32 instead of 3.0)."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cosine similarity of two models' embeddings of the same crops."""

    mean: float
    lowest: float
    crops: int


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to keep the int8 model.

    Attributes:
        reasons: why it was rejected; empty when it is kept.
    """

    kept: bool
    reasons: tuple[str, ...]


def quantize(
    model: Path, target: Path, batches: Iterable[Array], *, reduce_range: bool | None = None
) -> bool:
    """Write the int8 version of a graph.

    Args:
        model: a valid graph with one input; see `legacy.prepare`.
        batches: input blobs that set the ranges of the graph's tensors.
        reduce_range: use weights of 7 bits. None: where the processor needs them, because its
            16-bit sums would saturate and give wrong embeddings (`_cpu.multiplies_int8`).

    Returns:
        Whether the weights have 7 bits.

    Raises:
        MissingExtraError: the onnx package is not installed.
        UsageError: no batch.
        CardError: a graph that can't be quantized.
    """
    onnx = require("onnx", extra="onnx")
    narrow = not multiplies_int8() if reduce_range is None else reduce_range
    try:
        outline = scan(model)
    except (OSError, ValueError) as error:
        raise CardError(f"{model}: {error}") from error
    inputs = [name for name, _ in outline.data_inputs]
    if len(inputs) != 1:
        raise CardError(f"{model}: a face model takes one input, this graph takes {len(inputs)}")
    plain = onnx.load_from_string(rewrite(model, legacy_traits(outline), FOR_INT8))
    # Keeps the quantizer from asking for the preparation that was just done.
    plain.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")
    with tempfile.TemporaryDirectory(prefix="faceprint-int8-") as place:
        base = Path(place) / "float32.onnx"
        base.write_bytes(plain.SerializeToString())
        _run_quantizer(base, target, _feeds(inputs[0], batches), narrow, model)
    return narrow


def _feeds(name: str, batches: Iterable[Array]) -> Iterator[dict[str, Array]]:
    """Yield the quantizer's inputs; a missing first batch is an error at once."""
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
    """Compare the embeddings that two models make of the same crops.

    Args:
        ours, theirs: (n, d) of any length, n at least 1.
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
    """Keep the int8 model only if it is faster on this machine and hardly less accurate.

    Args:
        speedup: how many times as fast as float32.
        accuracy: of float32 and of int8, from 0 to 1; None where it was not measured.
        limit: percentage points of accuracy that may be lost.
        min_speedup: the least speedup.
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
    """Make the quantized model's card: a new file, without the figures measured for the old one.

    Golden values are left out too: int8 kernels differ between processors by more than lint allows.
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
