"""Embeds any number of photographs part by part and writes the table; resumable at any point.

A part is a fixed number of photographs; where it ends depends on their order and sizes alone. A
kill loses the open part. The next run cuts the same part, so its rows are the same to the bit.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import faceprint
from faceprint._memory import give_back_memory
from faceprint.bulk import work
from faceprint.bulk.local import Engine, Part
from faceprint.bulk.manifest import Manifest, sqlite_errors
from faceprint.bulk.parts import part_path, table_groups, write_part
from faceprint.embedding_table.reader import read_metadata
from faceprint.embedding_table.writer import TableSize, check_table_name, write_table
from faceprint.errors import FaceprintError, UnknownModelError, UsageError
from faceprint.vision import EMBEDDING_VERSION

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["PHOTOGRAPHS", "Progress", "Summary", "detector_of", "embed_table"]

PHOTOGRAPHS = 512
"""Photographs per part: a kill loses at most so many, and Ctrl-C waits for at most so many."""

PART_BYTES = 256 * 1024 * 1024
"""A part also ends before its files exceed so many bytes."""


class Progress(Protocol):
    """Follows a run, and may stop it."""

    def begin(self, total: int) -> None:
        """Called once, with the number of photographs."""

    def advance(self, number: int) -> None:
        """Called when so many more photographs are done, now or in an earlier run."""

    def stopped(self) -> bool:
        """Whether to stop after the open part."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did.

    Attributes:
        images: photographs of the input. faces: faces found in them.
        failed: photographs that could not be used. faceless: photographs without a face.
        duplicates: photographs with the same bytes as an earlier one of the input.
        skipped: photographs that an earlier run had done.
        reasons: number of failed photographs by reason. examples: the first one by reason.
        finished: False after an interruption.
    """

    images: int
    faces: int
    failed: int
    faceless: int
    duplicates: int
    skipped: int
    seconds: float
    finished: bool = True
    reasons: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)


def embed_table(
    sources: Callable[[], Iterable[str]],
    out: Path,
    analyzer: FaceAnalyzer,
    engine: Engine,
    progress: Progress,
    *,
    resume: bool = False,
    overwrite: bool = False,
    part: int = PHOTOGRAPHS,
) -> Summary:
    """Embed every face of many photographs into one table.

    Args:
        sources: returns the names of the photographs, in the order of the table.
        out: ends in .parquet or .npz. Until it is written, the folder `<out>.parts` holds what a
            resumed run needs.
        part: photographs per part. With another value rows may differ in their last bits, so a run
            must be resumed with the value that it was started with.

    Raises:
        UsageError: no photographs; `out` or an unfinished run of it exists, and neither `resume`
            nor `overwrite` was given; another run is writing it.
        ModelMismatchError: the unfinished run has other models or options.
        OSError: no space left, or no permission. What is done is kept.
    """
    start = time.monotonic()
    check_table_name(out)
    folder = out.with_name(out.name + ".parts")
    _check_existing(out, folder, resume, overwrite)
    manifest_path = folder / "manifest.sqlite"
    new = not manifest_path.exists()
    out.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)  # embeddings of people: for the owner alone
    options = options_of(analyzer, engine, part)
    with sqlite_errors(manifest_path), Manifest(folder, options) as manifest:
        run = _Run(manifest, engine, progress, part)
        with _remove_if_empty(manifest, new, FaceprintError, OSError):
            run.list_inputs(sources())
        if resume and out.exists() and manifest.next_part() == 1:
            unchanged = _unchanged(read_metadata(out), manifest, options)
            if unchanged is not None:
                shutil.rmtree(folder)
                return replace(unchanged, seconds=time.monotonic() - start)
        # For a model that can't be loaded. After an OSError, as of a full disk, the digests stay.
        with _remove_if_empty(manifest, new, FaceprintError):
            finished = run.embed_parts()
        totals = manifest.totals()
        if not finished:
            return Summary(*totals, run.skipped, time.monotonic() - start, finished=False)
        model, dim = analyzer.embedder.model, analyzer.embedder_card.dim or 0
        failed = manifest.reasons()
        reasons = {reason: number for reason, (number, _) in failed.items()}
        examples = {reason: source for reason, (_, source) in failed.items()}
        summary = Summary(*totals, run.skipped, 0.0, reasons=reasons, examples=examples)
        metadata = {"format": 1, "embedder": model, "options": options, "summary": asdict(summary)}
        metadata["fingerprint"] = _fingerprint(manifest.stamps(), options)
        rows = totals.faces + totals.failed + totals.faceless
        size = TableSize(rows, dim, *manifest.longest())
        write_table(out, size, metadata, lambda names: table_groups(manifest, names, dim, model))
    shutil.rmtree(folder)
    return replace(summary, seconds=time.monotonic() - start)


@contextlib.contextmanager
def _remove_if_empty(manifest: Manifest, new: bool, *errors: type[Exception]) -> Iterator[None]:
    """On these errors, remove a new run without parts, so that it does not block the next."""
    try:
        yield
    except errors:
        if new and manifest.next_part() == 1:
            manifest.close()
            shutil.rmtree(manifest.folder)
        raise


def options_of(analyzer: FaceAnalyzer, engine: Engine, part: int) -> dict[str, str]:
    """What the rows depend on besides the photographs."""
    from faceprint.zoo.card_io import card_hash

    return {
        "detector": f"{analyzer.detector_card.id} {card_hash(analyzer.detector_card)[:16]}",
        "embedder": f"{analyzer.embedder_card.id} {card_hash(analyzer.embedder_card)[:16]}",
        "mirror": str(analyzer.mirror).lower(),
        "runtime": analyzer.runtime,
        "faceprint": faceprint.__version__,
        "embedding": str(EMBEDDING_VERSION),
        "batch_size": str(engine.batch_size),
        "part": str(part),
    }


def _check_existing(out: Path, folder: Path, resume: bool, overwrite: bool) -> None:
    if resume and overwrite:
        raise UsageError("resume continues a run and overwrite starts again; give one of them")
    if overwrite:
        if (folder / "manifest.sqlite").exists():
            shutil.rmtree(folder)
        return
    if folder.exists() and not resume:
        raise UsageError(
            f"{folder} holds an unfinished run; --resume continues it, --overwrite starts again"
        )
    if out.exists() and not resume:
        raise UsageError(
            f"{out} exists; --overwrite replaces it, --resume keeps it if nothing has changed"
        )


def _unchanged(
    metadata: dict[str, Any] | None, manifest: Manifest, options: dict[str, str]
) -> Summary | None:
    """The summary of a finished table if neither a photograph nor an option has changed."""
    now = ((source, work.stamp_of(source)[0]) for _, source, _ in manifest.inputs())
    if metadata is None or metadata.get("fingerprint") != _fingerprint(now, options):
        return None
    summary = Summary(**metadata["summary"])
    return replace(summary, skipped=summary.images - summary.duplicates - summary.failed)


def _fingerprint(stamps: Iterable[tuple[str, str]], options: dict[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    for pair in stamps:
        digest.update(json.dumps(pair).encode())
    return digest.hexdigest()


class _Run:
    """The parts of one run, planned as the engine asks for them."""

    def __init__(self, manifest: Manifest, engine: Engine, progress: Progress, part: int) -> None:
        self._manifest, self._engine, self._progress = manifest, engine, progress
        self._part_size, self._planned = part, 0
        self.skipped = 0
        self._stopped = False

    def list_inputs(self, sources: Iterable[str]) -> None:
        """Store and count the photographs."""
        total = self._manifest.list_inputs(sources)
        if not total:
            raise UsageError("no photographs found in the files and folders given")
        self._progress.begin(total)

    def embed_parts(self) -> bool:
        """Embed what is not done yet; False if the run was stopped before the end."""
        number, done = self._manifest.next_part(), 0
        with contextlib.closing(self._plan_parts()) as parts:
            for part, outcome in self._engine.outcomes(parts, self._progress.advance):
                write_part(part_path(self._manifest.folder, number), outcome)
                self._manifest.record(number, part.digests, outcome)
                del outcome
                give_back_memory()
                number, done = number + 1, done + 1
                if self._progress.stopped() and done < self._planned:
                    self._stopped = True
                    break
        self._manifest.commit()
        return not self._stopped

    def _plan_parts(self) -> Generator[Part, None, None]:
        photographs: list[tuple[str, str, bytes]] = []
        size = done = 0
        with contextlib.closing(self._engine.contents(self._manifest.inputs())) as contents:
            for position, source, content in contents:
                state = self._manifest.record_content(position, source, content)
                if state == "new" and content.digest is not None:
                    full = len(photographs) == self._part_size or size + content.size > PART_BYTES
                    if photographs and full:
                        yield self._begin_part(photographs)
                        photographs, size = [], 0
                        if self._progress.stopped():
                            self._stopped = True
                            return
                    photographs.append((source, content.stamp, content.digest))
                    size += content.size
                    continue
                done += 1
                self._progress.advance(1)
                self.skipped += state == "done"
                if done % 4096 == 0:
                    self._manifest.commit()
        if photographs:
            yield self._begin_part(photographs)

    def _begin_part(self, photographs: list[tuple[str, str, bytes]]) -> Part:
        self._planned += 1
        sources, stamps, digests = zip(*photographs, strict=True)
        return Part(sources, stamps, digests, self._manifest.begin_part(digests))


def detector_of(table: Path) -> str:
    """The id of the detector that found a table's faces; empty where unknown."""
    from faceprint.zoo.card_io import card_hash
    from faceprint.zoo.catalog import get_card

    options = (read_metadata(table) or {}).get("options", {})
    name, _, digest = str(options.get("detector", "")).partition(" ")
    try:
        card = get_card(name)
    except UnknownModelError:
        return ""
    # A card that has changed since then describes another detector.
    return name if card_hash(card).startswith(digest) else ""
