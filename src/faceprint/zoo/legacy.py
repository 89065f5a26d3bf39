"""Old graphs, made new: what the exporters of 2018 wrote, as today's runtimes take it.

The zoo's ArcFace is opset 8 and IR 3, lists its weights among the inputs, marks BatchNormalization
with `spatial = 0`, gives PRelu slopes as (C,), keeps a Dropout and fixes the batch at 1. Current
runtimes refuse some of that and are slow with the rest. The rewritten graph is an exact equal; it
is kept under the hashes of both files, and the original is never touched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from faceprint._files import atomic_write
from faceprint._onnx_reader import GraphOutline, NodeOutline, scan
from faceprint.errors import CardError, ChecksumError, MissingExtraError, ModelMissingError

__all__ = [
    "SHAPE_KEEPING",
    "Plan",
    "find_kept",
    "fingerprint",
    "is_feature_map",
    "keep",
    "modernise",
    "needs_modernising",
    "plan_of",
    "prepare",
]

REVISION = 1
"""Of the rewriting; raised when a pass changes, so that older cached graphs are left behind."""

_SPATIAL = {"Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool"}
SHAPE_KEEPING = {
    "Add", "BatchNormalization", "Clip", "Div", "Dropout", "Identity", "LeakyRelu", "Mul", "PRelu",
    "Relu", "Sigmoid", "Sub",
}  # fmt: skip
# Operators that treat each row of a batch by itself, given the checks of `_rows_apart`.
_ROW_WISE = _SPATIAL | SHAPE_KEEPING | {"Constant", "Flatten", "Gemm", "MatMul", "Pad", "Reshape"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is old about a graph.

    Attributes:
        spatial: BatchNormalization with `spatial = 0`, which runtimes refuse.
        flat_slopes: initializers that are (C,) slopes of a PRelu on a feature map.
        listed: weights that are also inputs, in an IR where that makes them overridable: a
            quarter to a third slower, as nothing can be folded.
        fixed_batch: rows that the input is fixed at, where it can be set free.
    """

    spatial: bool
    flat_slopes: frozenset[str]
    listed: bool
    fixed_batch: int | None

    @property
    def required(self) -> bool:
        """Whether runtimes refuse the graph as it is, or would get it wrong."""
        return self.spatial or bool(self.flat_slopes)

    @property
    def worthwhile(self) -> bool:
        """Whether rewriting changes anything."""
        return self.required or self.listed or self.fixed_batch is not None


def prepare(model: Path, cache_dir: Path) -> Path:
    """The graph to open: the file itself, or its modern equal.

    A graph that runs as it is, only slower, is opened as it is where the onnx package is not
    installed or the cache can't be written.

    Raises:
        MissingExtraError: the graph must be rewritten and the onnx package is not installed.
        ModelMissingError: it must be rewritten and `cache_dir` can't be written.
        CardError: it can't be rewritten.
    """
    try:
        plan = plan_of(scan(model))
    except (ValueError, OSError):
        return model  # the runtime that opens it has the better words
    if not plan.worthwhile:
        return model
    try:
        return modernise(model, cache_dir)
    except (MissingExtraError, ModelMissingError):
        if plan.required:
            raise
        return model


def needs_modernising(model: Path) -> bool:
    """Whether rewriting is needed or pays; a few milliseconds, without the onnx package.

    Raises:
        ValueError: not an ONNX file.
        OSError: not readable.
    """
    return plan_of(scan(model)).worthwhile


def modernise(model: Path, cache_dir: Path) -> Path:
    """Rewrite a graph, or find the rewriting of an earlier time; the original stays as it is.

    Returns:
        A file in `cache_dir` named by the hashes of the original and of itself.

    Raises:
        MissingExtraError: the onnx package is not installed.
        ModelMissingError: `cache_dir` can't be written.
        CardError: not a graph that can be rewritten.
    """
    prefix = f"{model.stem}.{fingerprint(model)[:16]}.r{REVISION}"
    cached = find_kept(cache_dir, prefix)
    if cached is not None:
        return cached
    from faceprint.zoo import legacy_passes

    content = legacy_passes.rewrite(model, plan_of(_scan_or_refuse(model)))
    own = hashlib.sha256(content).hexdigest()
    target = cache_dir / f"{prefix}.{own[:16]}.onnx"
    try:
        keep(target, content)
    except OSError as error:
        raise ModelMissingError(
            f"{model.name} has to be rewritten for today's runtimes, but {cache_dir} can't be "
            f"written ({error.strerror}); set FACEPRINT_HOME to a folder that can"
        ) from error
    return target


def keep(target: Path, content: bytes) -> None:
    """Write a file of the cache whole or not at all, with its folder.

    Raises:
        OSError: the folder can't be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(target, content)


def plan_of(sketch: GraphOutline) -> Plan:
    """What is old about a graph.

    Raises:
        ValueError: a node that has fewer inputs than its operator takes.
    """
    for node in sketch.nodes:
        if len(node.inputs) < (2 if node.op in ("PRelu", "Gemm", "MatMul") else 0):
            raise ValueError(f"a {node.op} of {len(node.inputs)} inputs")
    return Plan(
        spatial=any(
            node.op == "BatchNormalization" and node.integers.get("spatial") == 0
            for node in sketch.nodes
        ),
        flat_slopes=_flat_slopes(sketch),
        listed=sketch.ir_version >= 4 and any(name in sketch.dims for name, _ in sketch.inputs),
        fixed_batch=_fixed_batch(sketch),
    )


def _flat_slopes(sketch: GraphOutline) -> frozenset[str]:
    producers = {name: node for node in sketch.nodes for name in node.outputs}
    return frozenset(
        node.inputs[1]
        for node in sketch.nodes
        if node.op == "PRelu"
        and len(shape := sketch.dims.get(node.inputs[1], ())) == 1
        and shape[0] > 1
        and is_feature_map(node.inputs[0], producers)
    )


def is_feature_map(
    name: str, producers: Mapping[str, NodeOutline], through: Set[str] = frozenset(SHAPE_KEEPING)
) -> bool:
    """Whether a tensor has (n, c, h, w): it comes out of a convolution, not of a dense layer."""
    node = producers.get(name)
    for _ in range(len(producers)):  # a damaged graph may lead back to itself
        if node is None or node.op not in through:
            break
        node = next((producers[item] for item in node.inputs if item in producers), None)
    return node is not None and node.op in _SPATIAL


def _fixed_batch(sketch: GraphOutline) -> int | None:
    """The batch of an embedder's graph; a detector's reshapes tie its batch to its anchors."""
    inputs = [shape for name, shape in sketch.inputs if name not in sketch.dims]
    outputs = [shape for _, shape in sketch.outputs]
    if len(inputs) != 1 or len(outputs) != 1 or len(outputs[0]) != 2 or not inputs[0]:
        return None
    batch = inputs[0][0]
    if batch is None or outputs[0][0] not in (batch, None):
        return None
    return batch if _rows_apart(sketch) else None


def _rows_apart(sketch: GraphOutline) -> bool:
    return all(
        node.op in _ROW_WISE
        and (node.op != "Flatten" or node.integers.get("axis", 1) == 1)
        and (node.op != "Gemm" or not node.integers.get("transA", 0))
        and (node.op not in ("Gemm", "MatMul") or node.inputs[1] in sketch.dims)
        for node in sketch.nodes
    )


def _scan_or_refuse(model: Path) -> GraphOutline:
    try:
        return scan(model)
    except OSError as error:
        raise CardError(f"{model}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise CardError(f"{model}: {error}") from error


def fingerprint(model: Path) -> str:
    """sha256 of the file and of every file that holds some of its weights."""
    from faceprint._external import external_locations, refuse_outside
    from faceprint.zoo.store import file_sha256

    try:
        refuse_outside(model)
        digest = file_sha256(model)
        parts = [file_sha256(model.parent / place) for place in external_locations(model)]
    except OSError as error:
        raise CardError(f"{model}: cannot be read ({error.strerror})") from error
    except ChecksumError as error:
        raise CardError(str(error)) from error
    return hashlib.sha256("".join([digest, *parts]).encode()).hexdigest() if parts else digest


def find_kept(cache_dir: Path, prefix: str) -> Path | None:
    """An earlier rewriting whose bytes are still those that its name says."""
    from faceprint.zoo.store import file_sha256

    if not cache_dir.is_dir():
        return None
    for path in sorted(cache_dir.iterdir()):
        name = path.name
        if (
            name.startswith(f"{prefix}.")
            and name.endswith(".onnx")
            and file_sha256(path)[:16] == name[len(prefix) + 1 : -5]
        ):
            return path
    return None
