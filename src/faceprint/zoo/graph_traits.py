"""What the outline of a graph tells about rewriting it: old exporters' habits and slow PRelu."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from faceprint._onnx_reader import GraphOutline, NodeOutline

__all__ = ["LegacyTraits", "has_slow_prelu", "legacy_traits"]

_SPATIAL = {"Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool"}
_SHAPE_KEEPING = {
    "Add", "BatchNormalization", "Clip", "Div", "Dropout", "Identity", "LeakyRelu", "Mul", "PRelu",
    "Relu", "Sigmoid", "Sub",
}  # fmt: skip
# Operators that treat each row of a batch by itself, given the checks of `_rows_are_independent`.
_ROW_WISE = _SPATIAL | _SHAPE_KEEPING | {"Constant", "Flatten", "Gemm", "MatMul", "Pad", "Reshape"}


@dataclass(frozen=True, slots=True)
class LegacyTraits:
    """What old exporters left in a graph.

    Attributes:
        spatial: BatchNormalization with `spatial = 0`, which runtimes refuse.
        flat_slopes: initializers that are (C,) slopes of a PRelu on a feature map.
        listed: weights are inputs too, in an IR version where that makes them overridable. Nothing
            can be folded then, which makes the graph a quarter to a third slower.
        fixed_batch: rows that the input is fixed at, where the batch can be made free.
    """

    spatial: bool
    flat_slopes: frozenset[str]
    listed: bool
    fixed_batch: int | None

    @property
    def must_be_rewritten(self) -> bool:
        """Whether runtimes refuse the graph as it is, or would compute it wrongly."""
        return self.spatial or bool(self.flat_slopes)

    @property
    def can_be_rewritten(self) -> bool:
        """Whether rewriting changes anything."""
        return self.must_be_rewritten or self.listed or self.fixed_batch is not None


def legacy_traits(outline: GraphOutline) -> LegacyTraits:
    """Find what is old about a graph.

    Raises:
        ValueError: a node has fewer inputs than its operator takes.
    """
    for node in outline.nodes:
        if len(node.inputs) < (2 if node.op in ("PRelu", "Gemm", "MatMul") else 0):
            raise ValueError(f"a {node.op} of {len(node.inputs)} inputs")
    return LegacyTraits(
        spatial=any(
            node.op == "BatchNormalization" and node.integers.get("spatial") == 0
            for node in outline.nodes
        ),
        flat_slopes=_flat_slopes(outline),
        listed=outline.ir_version >= 4 and any(name in outline.dims for name, _ in outline.inputs),
        fixed_batch=_fixed_batch(outline),
    )


def has_slow_prelu(outline: GraphOutline) -> bool:
    """Whether a PRelu with constant slopes runs on feature maps, in a graph without subgraphs."""
    if any(node.op in ("If", "Loop", "Scan") for node in outline.nodes):
        return False
    producers = _producers(outline)
    through = _SHAPE_KEEPING | {"QuantizeLinear", "DequantizeLinear"}
    return any(
        node.op == "PRelu"
        and len(outline.dims.get(node.inputs[1], ())) in (3, 4)
        and _is_feature_map(node.inputs[0], producers, through)
        for node in outline.nodes
    )


def _producers(outline: GraphOutline) -> dict[str, NodeOutline]:
    return {name: node for node in outline.nodes for name in node.outputs}


def _flat_slopes(outline: GraphOutline) -> frozenset[str]:
    producers = _producers(outline)
    return frozenset(
        node.inputs[1]
        for node in outline.nodes
        if node.op == "PRelu"
        and len(shape := outline.dims.get(node.inputs[1], ())) == 1
        and shape[0] > 1
        and _is_feature_map(node.inputs[0], producers, _SHAPE_KEEPING)
    )


def _is_feature_map(name: str, producers: Mapping[str, NodeOutline], through: Set[str]) -> bool:
    """Whether a tensor has shape (n, c, h, w): a convolution makes it, not a dense layer."""
    node = producers.get(name)
    for _ in range(len(producers)):  # a damaged graph may lead back to itself
        if node is None or node.op not in through:
            break
        node = next((producers[item] for item in node.inputs if item in producers), None)
    return node is not None and node.op in _SPATIAL


def _fixed_batch(outline: GraphOutline) -> int | None:
    """The batch size of an embedder's graph; a detector's reshapes tie its batch to its anchors."""
    inputs = [shape for _, shape in outline.data_inputs]
    outputs = [shape for _, shape in outline.outputs]
    if len(inputs) != 1 or len(outputs) != 1 or len(outputs[0]) != 2 or not inputs[0]:
        return None
    batch = inputs[0][0]
    if batch is None or outputs[0][0] not in (batch, None):
        return None
    return batch if _rows_are_independent(outline) else None


def _rows_are_independent(outline: GraphOutline) -> bool:
    return all(
        node.op in _ROW_WISE
        and (node.op != "Flatten" or node.integers.get("axis", 1) == 1)
        and (node.op != "Gemm" or not node.integers.get("transA", 0))
        and (node.op not in ("Gemm", "MatMul") or node.inputs[1] in outline.dims)
        for node in outline.nodes
    )
