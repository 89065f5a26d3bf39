"""What this machine does with a pack: photographs and faces a second, search, memory.

`faceprint bench` measures each pack in a process of its own (speed_child.py), so that only its own
memory counts.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from faceprint import errors
from faceprint.errors import FaceprintError
from faceprint.recognition.index.exact import ExactIndex
from faceprint.similarity import normalize
from faceprint.types import Array, Image
from faceprint.vision.embed import ON_ACCELERATOR

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = [
    "PackSpeed",
    "Rate",
    "SpeedRequest",
    "embedding_rate",
    "measure",
    "median_ms",
    "samples",
    "search_times",
    "stream_rate",
]

_ROUNDS = 3
_CROPS = 16
"""Crops per call on a CPU: what the embedder takes at once."""


@dataclass(frozen=True, slots=True)
class SpeedRequest:
    """What to measure. The models and options are those of `faceprint.load`.

    Attributes:
        seconds: how long the stream of photographs runs, about.
        templates: number of templates that are searched.
    """

    pack: str | None = None
    detector: str | None = None
    embedder: str | None = None
    runtime: str | None = None
    device: str = "cpu"
    threads: int | None = None
    processes: int | None = None
    accept_license: bool = False
    seconds: float = 6.0
    templates: int = 100_000


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate: the median of several rounds, and the lowest and highest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, rates: Sequence[float]) -> Rate:
        """The rate of some rounds."""
        return cls(statistics.median(rates), min(rates), max(rates))


@dataclass(frozen=True, slots=True)
class PackSpeed:
    """The figures of one pack on this machine.

    Attributes:
        runtime: of both models, such as `onnxruntime:cuda`.
        processes: number of processes that share the stream.
        photographs_a_second: of `analyze_many` over the sample photographs.
        photograph_ms: of `analyze`, one sample photograph after the other; median.
        faces_a_second: of the embedder alone, on aligned crops.
        search_ms: one probe among the templates, exactly; median.
        probes_a_second: searched 64 at a time.
        memory_mb: peak of the process with its workers in 10^6 bytes, pages that they share counted
            for each; None where the system does not tell.
        open_s: seconds until the models are open.
    """

    pack: str
    detector: str
    embedder: str
    runtime: str
    processes: int
    photographs_a_second: Rate
    photograph_ms: float
    faces_a_second: float
    search_ms: float
    probes_a_second: float
    templates: int
    dim: int
    memory_mb: float | None
    open_s: float


def measure(request: SpeedRequest, stage: Callable[[str], None]) -> PackSpeed:
    """Measure a pack in a new process.

    Args:
        stage: called with what is being measured.

    Raises:
        FaceprintError: a model or a device that is not available.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "faceprint.evaluation.speed_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(json.dumps(asdict(request)))
            child.stdin.close()
            for line in child.stdout:
                kind, content = json.loads(line)
                if kind == "stage":
                    stage(content)
                elif kind == "result":
                    rate = Rate(**content.pop("photographs_a_second"))
                    return PackSpeed(**content, photographs_a_second=rate)
                else:
                    raise getattr(errors, kind, FaceprintError)(content)
        finally:
            child.kill()
    raise FaceprintError(f"the process that measures ended with {child.returncode}")


def samples() -> list[Path]:
    """The photographs that come with the package."""
    folder = Path(str(resources.files("faceprint"))) / "samples"
    return sorted(folder.glob("*.jpg"))


def stream_rate(fp: FaceAnalyzer, paths: Sequence[Path], seconds: float) -> Rate:
    """Photographs a second of `analyze_many`.

    The number of photographs is doubled until a round takes a fifth of `seconds`. On machines where
    worker processes share the stream, they have started by then.
    """
    count, rates = 8, list[float]()
    several = fp.processes > 1
    end = time.perf_counter() + seconds
    while len(rates) < _ROUNDS or time.perf_counter() < end:
        photographs = [paths[index % len(paths)] for index in range(count)]
        start = time.perf_counter()
        for _ in fp.analyze_many(photographs):
            pass
        took = time.perf_counter() - start
        if took < seconds / 5:
            count *= 2
        elif several:
            several = False  # workers may have joined in the middle of this round
        else:
            rates.append(count / took)
    return Rate.of(rates)


def embedding_rate(fp: FaceAnalyzer, crops: Image, seconds: float) -> float:
    """Faces a second of the embedder alone.

    Args:
        crops: (n, s, s, 3), repeated to as many as the embedder takes at once.
    """
    number = _CROPS if fp.device == "cpu" else ON_ACCELERATOR
    batch = crops[np.arange(number) % len(crops)]
    return 1000 * number / median_ms(lambda: fp.embed_crops(batch), seconds)


def search_times(templates: int, dim: int, seconds: float) -> tuple[float, float]:
    """Milliseconds of one probe among random templates, and probes a second in batches of 64."""
    random = np.random.default_rng(0)
    index, keys = ExactIndex(dim), np.arange(templates, dtype=np.int64)
    index.reserve(templates)
    for start in range(0, templates, 10_000):
        part = keys[start : start + 10_000]
        index.add(part, _unit(random, len(part), dim))
    probes = _unit(random, 64, dim)
    one = median_ms(lambda: index.search(probes[:1], 10), seconds)
    many = median_ms(lambda: index.search(probes, 10), seconds)
    return one, 1000 * len(probes) / many


def median_ms(run: Callable[[], object], seconds: float) -> float:
    """The median time of a call, after a first one, of at least three."""
    run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _ROUNDS or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def _unit(random: np.random.Generator, count: int, dim: int) -> Array:
    return normalize(random.standard_normal((count, dim), dtype=np.float32))[0]
