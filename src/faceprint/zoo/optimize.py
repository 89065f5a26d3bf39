"""Faster equals of sound graphs: rewritten, compared, timed once on this machine, and cached.

What pays is decided by a measurement, not by a list: both graphs run in turn on the same inputs,
and the rewritten one is kept only where it is faster and its outputs agree. The verdict lies beside
the graph in the cache, for each graph, ONNX Runtime, processor and number of threads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from faceprint import _cpu
from faceprint._onnx_reader import GraphOutline, scan
from faceprint.errors import MissingExtraError, ModelError
from faceprint.zoo import legacy

if TYPE_CHECKING:
    from faceprint.types import Array
    from faceprint.zoo.golden import Run

__all__ = ["TOLERANCE", "Verdict", "describe", "has_slow_prelu", "prepare", "rewrite"]

REVISION = 2
"""Of the rewriting and the measuring; raised when either changes."""

TOLERANCE = 1e-5
"""Largest difference of an output, in units of its largest value where that is above 1."""

_GAIN = 1.02
"""The rewritten graph must be this many times as fast: less is within what rotations can tell."""

_ROWS, _SLOW = 8, 0.04
"""Rows of a timed batch; a graph that takes longer than `_SLOW` seconds a row is timed on one, and
compared on two."""

_FREE_SIDE = 112
_THROUGH = frozenset(legacy.SHAPE_KEEPING | {"QuantizeLinear", "DequantizeLinear"})

Opener = Callable[[Path], "Run"]
"""Loads a graph with the threads that it will run with."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was measured of a graph and its rewriting.

    Attributes:
        kept: whether the rewritten graph is the one to open.
        graph: its file's name in the cache; empty where it was not kept.
        published_ms, rewritten_ms: medians of a batch.
        difference: largest of the outputs, in the units of `TOLERANCE`.
    """

    kept: bool
    graph: str
    published_ms: float
    rewritten_ms: float
    difference: float
    rows: int
    rounds: int
    threads: int
    onnxruntime: str
    cpu: str

    @property
    def ratio(self) -> float:
        """How many times as fast the rewritten graph is."""
        return self.published_ms / self.rewritten_ms


def prepare(model: Path, cache_dir: Path, open_graph: Opener, *, threads: int) -> Path:
    """The graph to open on ONNX Runtime: the file itself, or its faster equal.

    A graph without slow PRelu costs a look at its operators. For others the first call on a machine
    measures, a second or two; later ones read the verdict. Without the onnx package, or where
    `cache_dir` can't be written, the file is opened as it is.

    Args:
        threads: those that `open_graph` gives a session; each number has its own verdict.
    """
    try:
        if not has_slow_prelu(scan(model)):
            return model
        stem = _stem(model)
        verdict = _read(_verdict_path(cache_dir, stem, threads))
        if verdict is None:
            verdict = _judge(model, cache_dir, stem, open_graph, threads)
    except (ValueError, OSError, ModelError, MissingExtraError):
        return model  # whatever is wrong with the file, opening it says so better
    if not verdict.kept:
        return model
    kept = legacy.find_kept(cache_dir, stem)
    return model if kept is None else kept


def rewrite(model: Path) -> bytes:
    """The rewritten file's bytes, whether or not that pays.

    Raises:
        MissingExtraError: the onnx package is not installed.
        CardError: not a graph, or one that comes out unsound.
        ValueError, OSError: not readable as ONNX.
    """
    from faceprint.zoo import legacy_passes, optimize_passes

    return legacy_passes.rewrite(model, legacy.plan_of(scan(model)), optimize_passes.STEPS)


def describe(model: Path, cache_dir: Path, *, threads: int) -> str:
    """One line on what this machine opens in a file's place, and why; nothing is measured."""
    try:
        if not has_slow_prelu(scan(model)):
            return "as published: nothing to rewrite"
        verdict = _read(_verdict_path(cache_dir, _stem(model), threads))
    except (ValueError, OSError, ModelError) as error:
        return f"as published: {error}"
    if verdict is None:
        from importlib.util import find_spec

        if find_spec("onnx") is None:
            return "as published: pip install 'faceprint[onnx]' lets PRelu be rewritten"
        return "as published: not measured yet"
    told = (
        f"{verdict.ratio:.2f} x as fast with {threads} threads, difference {verdict.difference:.1e}"
    )
    return f"rewritten: {told}" if verdict.kept else f"as published: rewritten it is {told}"


def has_slow_prelu(sketch: GraphOutline) -> bool:
    """Whether a PRelu with constant slopes runs over feature maps, and no graph lies in another."""
    producers = {name: node for node in sketch.nodes for name in node.outputs}
    if any(node.op in ("If", "Loop", "Scan") for node in sketch.nodes):
        return False
    return any(
        node.op == "PRelu"
        and len(sketch.dims.get(node.inputs[1], ())) in (3, 4)
        and legacy.is_feature_map(node.inputs[0], producers, _THROUGH)
        for node in sketch.nodes
    )


def _judge(model: Path, cache_dir: Path, stem: str, open_graph: Opener, threads: int) -> Verdict:
    """Rewrite, compare and time; the verdict and, where it is for it, the graph are kept."""
    from faceprint.zoo.locks import exclusive

    place = _verdict_path(cache_dir, stem, threads)
    # Two measurements at a time would spoil each other, and one of them is enough.
    with exclusive(cache_dir / ".optimize.lock", what="timing a model's graphs"):
        known = _read(place)
        if known is not None:
            return known
        content = rewrite(model)
        target = cache_dir / f"{stem}.{hashlib.sha256(content).hexdigest()[:16]}.onnx"
        there = target.is_file()
        legacy.keep(target, content)
        try:
            verdict = _race(model, target, open_graph, threads)
        except ModelError:
            target.unlink(missing_ok=True)
            raise
        if not verdict.kept and not there:
            target.unlink(missing_ok=True)
        legacy.keep(place, (json.dumps(asdict(verdict), indent=1) + "\n").encode())
        return verdict


def _race(model: Path, rewritten: Path, open_graph: Opener, threads: int) -> Verdict:
    # Imported late: what finds a verdict, or nothing to rewrite, doesn't pay for these.
    import statistics
    import time

    from faceprint.zoo.interleaved_timing import rotate

    sketch = scan(model)
    shape = next(shape for name, shape in sketch.inputs if name not in sketch.dims)
    published, fast = open_graph(model), open_graph(rewritten)
    blob = _probe(shape)
    if shape[0] is None:
        published(blob[:1])
        start = time.perf_counter()
        published(blob[:1])
        if time.perf_counter() - start > _SLOW:
            blob = blob[[0, -1]]
    difference = _difference(published(blob), fast(blob))
    if len(blob) < _ROWS and shape[0] is None:
        blob = blob[:1]
        fast(blob)
    sides = {"published": lambda: published(blob), "rewritten": lambda: fast(blob)}
    times = rotate(sides, budget=0.6)
    before, after = (statistics.median(times[side]) for side in ("published", "rewritten"))
    kept = difference <= TOLERANCE and before >= _GAIN * after
    return Verdict(
        kept=kept,
        graph=rewritten.name if kept else "",
        published_ms=before * 1e3,
        rewritten_ms=after * 1e3,
        difference=difference,
        rows=len(blob),
        rounds=len(times["published"]),
        threads=threads,
        onnxruntime=_onnxruntime(),
        cpu=_cpu.cpu_name(),
    )


def _probe(shape: tuple[int | None, ...]) -> Array:
    """A batch that is half noise and half like photographs, in both usual ranges of pixel values.

    Photographs have a spectrum that falls as 1 / frequency (Field 1987); white noise has all of it.
    """
    rows = shape[0] or _ROWS
    inner = tuple(size or (_FREE_SIDE if i else 3) for i, size in enumerate(shape[1:]))
    random = np.random.default_rng(0)
    white = random.standard_normal((rows, *inner))
    pink = np.empty_like(white)
    radius = np.sqrt(
        sum(
            np.square(axis)
            for axis in np.meshgrid(*(np.fft.fftfreq(size) * size for size in inner), indexing="ij")
        )
    )
    for row in range(rows):
        pink[row] = np.fft.ifftn(np.fft.fftn(white[row]) / np.maximum(radius, 1)).real
    for rows_of in (white, pink):
        rows_of /= np.abs(rows_of).max()
    white[::2] = pink[::2]
    white[len(white) // 2 :] = (white[len(white) // 2 :] + 1) * 127.5
    return np.ascontiguousarray(white, np.float32)


def _difference(ours: object, theirs: object) -> float:
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):  # type: ignore[call-overload]
        if a.shape != b.shape or not np.isfinite(b).all():
            return float("inf")
        scale = max(1.0, float(np.abs(a).max(initial=0)))
        worst = max(worst, float(np.abs(a - b).max(initial=0)) / scale)
    return worst


def _stem(model: Path) -> str:
    return f"{model.stem}.{legacy.fingerprint(model)[:16]}.o{REVISION}"


def _verdict_path(cache_dir: Path, stem: str, threads: int) -> Path:
    where = f"{_onnxruntime()}|{_cpu.cpu_name()}|{' '.join(_cpu.cpu_flags())}|{threads}"
    return cache_dir / f"{stem}.{hashlib.sha256(where.encode()).hexdigest()[:12]}.json"


def _read(place: Path) -> Verdict | None:
    try:
        verdict = Verdict(**json.loads(place.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    # A rewritten graph that is gone, or no longer what its name says, is made again.
    gone = verdict.kept and legacy.find_kept(place.parent, place.name.rsplit(".", 2)[0]) is None
    return None if gone else verdict


def _onnxruntime() -> str:
    from faceprint._onnxruntime import onnxruntime

    return str(onnxruntime.__version__)
