"""Rewrite graphs with slow PRelu, and keep the rewritten graph where it is faster.

Both graphs run in turn on the same inputs. The rewritten one is kept only where it is faster on
this machine and its outputs agree. The verdict is stored beside the graph in the cache, for each
graph, version of ONNX Runtime, processor and number of threads.
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
from faceprint._onnx_reader import scan
from faceprint.errors import MissingExtraError, ModelError
from faceprint.zoo import graph_editing
from faceprint.zoo.graph_cache import cached_path, find_cached, fingerprint, write_cache_file
from faceprint.zoo.graph_traits import has_slow_prelu, legacy_traits
from faceprint.zoo.optimize_passes import STEPS

if TYPE_CHECKING:
    from faceprint.types import Array
    from faceprint.zoo.golden import Run

__all__ = ["TOLERANCE", "Verdict", "describe", "prepare", "rewrite"]

_REVISION = 2
"""Of the passes and the measurement; raised when either changes."""

TOLERANCE = 1e-5
"""Largest difference of an output, in units of its largest value where that is above 1."""

_GAIN = 1.02
"""The rewritten graph must be this many times as fast: less is within the measurement's noise."""

_ROWS, _SLOW = 8, 0.04
"""Rows of a timed batch. A graph that takes longer than `_SLOW` seconds per row is timed on one
row and compared on two."""

_FREE_SIDE = 112

Opener = Callable[[Path], "Run"]
"""Load a graph with the number of threads that it will run with."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The measurement of a graph and its rewritten equal.

    Attributes:
        kept: whether to open the rewritten graph.
        graph: its file's name in the cache; empty where it was not kept.
        published_ms, rewritten_ms: median time of a batch.
        difference: largest difference of an output, in the units of `TOLERANCE`.
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
    """Return the graph to open on ONNX Runtime: the file itself, or its faster equal.

    The first call for a graph with slow PRelu measures for a second or two; later calls read the
    verdict. Without the onnx package, or where `cache_dir` can't be written, the file is opened as
    it is.

    Args:
        threads: of the sessions that `open_graph` makes; each number has its own verdict.
    """
    try:
        if not has_slow_prelu(scan(model)):
            return model
        prefix = _prefix(model)
        verdict = _read_verdict(_verdict_path(cache_dir, prefix, threads))
        if verdict is None:
            verdict = _judge(model, cache_dir, prefix, open_graph, threads)
    except (ValueError, OSError, ModelError, MissingExtraError):
        return model  # the runtime that opens it gives the better message
    return (find_cached(cache_dir, prefix) if verdict.kept else None) or model


def rewrite(model: Path) -> bytes:
    """Return the rewritten file's bytes, whether or not it is faster.

    Raises:
        MissingExtraError: the onnx package is not installed.
        CardError: the file is not a graph, or the result is not a valid one.
        ValueError, OSError: not readable as ONNX.
    """
    return graph_editing.rewrite(model, legacy_traits(scan(model)), STEPS)


def describe(model: Path, cache_dir: Path, *, threads: int) -> str:
    """Say in one line which graph this machine opens, and why; nothing is measured."""
    try:
        if not has_slow_prelu(scan(model)):
            return "as published: nothing to rewrite"
        verdict = _read_verdict(_verdict_path(cache_dir, _prefix(model), threads))
    except (ValueError, OSError, ModelError) as error:
        return f"as published: {error}"
    if verdict is None:
        from importlib.util import find_spec

        if find_spec("onnx") is None:
            return "as published: pip install 'faceprint[onnx]' lets PRelu be rewritten"
        return "as published: not measured yet"
    speed = (
        f"{verdict.ratio:.2f} x as fast with {threads} threads, difference {verdict.difference:.1e}"
    )
    return f"rewritten: {speed}" if verdict.kept else f"as published: rewritten it is {speed}"


def _judge(model: Path, cache_dir: Path, prefix: str, open_graph: Opener, threads: int) -> Verdict:
    """Rewrite, compare and time; store the verdict and, where it is faster, the graph."""
    from faceprint.zoo.locks import exclusive

    place = _verdict_path(cache_dir, prefix, threads)
    # Two measurements at the same time would disturb each other, and one is enough.
    with exclusive(cache_dir / ".optimize.lock", what="timing a model's graphs"):
        known = _read_verdict(place)
        if known is not None:
            return known
        content = rewrite(model)
        target = cached_path(cache_dir, prefix, content)
        there = target.is_file()
        write_cache_file(target, content)
        try:
            verdict = _measure(model, target, open_graph, threads)
        except ModelError:
            target.unlink(missing_ok=True)
            raise
        if not verdict.kept and not there:
            target.unlink(missing_ok=True)
        write_cache_file(place, (json.dumps(asdict(verdict), indent=1) + "\n").encode())
        return verdict


def _measure(model: Path, rewritten: Path, open_graph: Opener, threads: int) -> Verdict:
    # Imported late: most calls find a verdict, or nothing to rewrite.
    import statistics
    import time

    from faceprint.zoo.interleaved_timing import time_in_turn

    outline = scan(model)
    shape = outline.data_inputs[0][1]
    published, fast = open_graph(model), open_graph(rewritten)
    blob = _test_batch(shape)
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
    times = time_in_turn(sides, budget=0.6)
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


def _test_batch(shape: tuple[int | None, ...]) -> Array:
    """Make a batch: half noise and half like photographs, in both usual ranges of pixel values.

    The spectrum of photographs falls as 1 / frequency (Field 1987); that of white noise is flat.
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


def _prefix(model: Path) -> str:
    return f"{model.stem}.{fingerprint(model)[:16]}.o{_REVISION}"


def _verdict_path(cache_dir: Path, prefix: str, threads: int) -> Path:
    where = f"{_onnxruntime()}|{_cpu.cpu_name()}|{' '.join(_cpu.cpu_flags())}|{threads}"
    return cache_dir / f"{prefix}.{hashlib.sha256(where.encode()).hexdigest()[:12]}.json"


def _read_verdict(place: Path) -> Verdict | None:
    try:
        verdict = Verdict(**json.loads(place.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    # A rewritten graph that is gone or damaged is made again.
    gone = verdict.kept and find_cached(place.parent, place.name.rsplit(".", 2)[0]) is None
    return None if gone else verdict


def _onnxruntime() -> str:
    from faceprint._onnxruntime import onnxruntime

    return str(onnxruntime.__version__)
