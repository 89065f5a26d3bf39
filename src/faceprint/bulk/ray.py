"""The engine that uses a Ray cluster: Ray Data hands parts to actors that hold the models.

The driver keeps the manifest and writes the parts. So a run can be resumed on either engine, and
the rows are those of the local engine.
"""

from __future__ import annotations

import io
import itertools
import json
import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from faceprint._optional import require
from faceprint.bulk import work
from faceprint.bulk.local import Part
from faceprint.bulk.parts import save_faces
from faceprint.bulk.ray_cluster import connect
from faceprint.bulk.work import Advance, Content, Outcome
from faceprint.embedding_table.schema import EmbeddingTable

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["RayEngine"]

_CHUNK = 256
"""Photographs whose digests one task computes."""

_WAVE = 1024
"""Parts in one Ray data set: half a million photographs, whose names are some 50 MB."""

_DIED = "the worker died on it, several times"

Load = Callable[[], "FaceAnalyzer"]


class RayEngine:
    """Actors on a Ray cluster.

    Args:
        load: loads the models; called on every worker.
        address: of a running cluster, as `host:6379` or `auto`; None starts one on this machine.
        workers: number of actors. cpus: cores of each; `load` should ask for as many threads.

    Raises:
        MissingExtraError: without the extra `ray`.
    """

    def __init__(
        self, load: Load, batch_size: int, *, address: str | None, workers: int, cpus: int = 1
    ) -> None:
        self._ray = connect(address, workers * cpus)
        self._data = require("ray.data", extra="ray")
        self._load, self.batch_size = load, batch_size
        self._workers, self._cpus = workers, cpus
        context = self._data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        # A part that fails is repeated photograph by photograph; the others go on.
        context.max_errored_blocks = -1

    def contents(
        self, inputs: Iterator[tuple[int, str, Content | None]]
    ) -> Generator[tuple[int, str, Content], None, None]:
        """The content of each photograph's file, read by the workers."""
        task = self._ray.remote(_contents)
        waiting: deque[tuple[list[tuple[int, str, Content | None]], Any]] = deque()
        while chunk := list(itertools.islice(inputs, _CHUNK)):
            pairs = [(source, known) for _, source, known in chunk]
            waiting.append((chunk, task.remote(pairs)))
            if len(waiting) > 2 * self._workers:
                yield from self._taken(*waiting.popleft())
        while waiting:
            yield from self._taken(*waiting.popleft())

    def outcomes(self, parts: Iterator[Part], advance: Advance) -> Iterator[tuple[Part, Outcome]]:
        """The parts of a wave in order, then those whose worker died, photograph by photograph."""
        while wave := list(itertools.islice(parts, _WAVE)):
            lost = dict(enumerate(wave))
            for number, outcome in self._stream(wave):
                part = lost.pop(number)
                advance(len(part.sources))
                yield part, outcome
            for part in lost.values():
                outcome = self._one_by_one(part)
                advance(len(part.sources))
                yield part, outcome

    def _taken(
        self, chunk: Sequence[tuple[int, str, Content | None]], future: Any
    ) -> Iterator[tuple[int, str, Content]]:
        for (position, source, _), content in zip(chunk, self._ray.get(future), strict=True):
            yield position, source, content

    def _one_by_one(self, part: Part) -> Outcome:
        singles = [
            Part((a,), (b,), (c,))
            for a, b, c in zip(part.sources, part.stamps, part.digests, strict=True)
        ]
        found = dict(self._stream(singles))
        outcomes = [found.get(number) for number in range(len(singles))]
        faces = [outcome.faces for outcome in outcomes if outcome is not None]
        return Outcome(
            EmbeddingTable.concatenate(faces),
            tuple(0 if outcome is None else outcome.counts[0] for outcome in outcomes),
            tuple(_DIED if outcome is None else outcome.errors[0] for outcome in outcomes),
        )

    def _stream(self, parts: Sequence[Part]) -> Iterator[tuple[int, Outcome]]:
        items = [
            # Bytes, as a name that is not UTF-8 is no text to Arrow.
            {
                "number": number,
                "sources": [os.fsencode(source) for source in part.sources],
                "stamps": list(part.stamps),
            }
            for number, part in enumerate(parts)
        ]
        results = self._data.from_items(items, override_num_blocks=len(items)).map_batches(
            _Worker,
            fn_constructor_args=(self._load, self.batch_size),
            batch_size=1,
            batch_format="pyarrow",
            compute=self._data.ActorPoolStrategy(size=min(self._workers, len(items))),
            num_cpus=self._cpus,
            ray_remote_args_fn=_retry_limits,
        )
        for row in results.iter_rows():
            errors = json.loads(row["errors"])
            counts = json.loads(row["counts"])
            yield int(row["number"]), Outcome(_unpacked(row["faces"]), tuple(counts), tuple(errors))


def _retry_limits() -> dict[str, int]:
    """Limit the retries, or a photograph that kills its worker would be tried forever."""
    return {"max_restarts": 3, "max_task_retries": 2}


class _Worker:
    """An actor that keeps the models loaded."""

    def __init__(self, load: Load, batch_size: int) -> None:
        self._analyzer, self._batch_size = load(), batch_size

    def __call__(self, batch: Any) -> Any:
        rows = batch.to_pylist()
        done = [
            work.embed(
                self._analyzer,
                [os.fsdecode(source) for source in row["sources"]],
                row["stamps"],
                self._batch_size,
            )
            for row in rows
        ]
        pa = require("pyarrow", extra="ray")
        return pa.table(
            {
                "number": [row["number"] for row in rows],
                "faces": pa.array([_packed(outcome) for outcome in done], pa.large_binary()),
                "counts": [json.dumps(outcome.counts) for outcome in done],
                "errors": [json.dumps(outcome.errors) for outcome in done],
            }
        )


def _contents(pairs: Sequence[tuple[str, Content | None]]) -> list[Content]:
    return [work.content_of(source, known) for source, known in pairs]


def _packed(outcome: Outcome) -> bytes:
    file = io.BytesIO()
    save_faces(file, outcome)
    return file.getvalue()


def _unpacked(data: bytes) -> EmbeddingTable:
    """The faces without their sources, which the driver knows."""
    with np.load(io.BytesIO(data), allow_pickle=False) as columns:
        n = len(columns["face"])
        return EmbeddingTable(
            ("",) * n,
            columns["box"],
            columns["score"],
            columns["quality"],
            columns["embedding"],
            "",
            (None,) * n,
            landmarks=columns["landmarks"],
        )
