"""A bulk run: plan parts, do them on an engine, note them, and put the table together.

A part is a fixed number of photographs, cut by their order and sizes alone. A kill loses the open
part; the next run cuts it at the same place, so its rows are the same to the bit.
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
from faceprint.bulk.manifest import Manifest, plain
from faceprint.bulk.parts import part_path, table_groups, write_part
from faceprint.embedding_table.reader import read_metadata
from faceprint.embedding_table.writer import TableSize, check_table_name, write_table
from faceprint.errors import FaceprintError, UnknownModelError, UsageError
from faceprint.vision import EMBEDDING_VERSION

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["PHOTOGRAPHS", "Summary", "Watch", "detector_of", "embed_table"]

PHOTOGRAPHS = 512
"""Photographs in a part: what a kill may cost, and an interruption may have to wait for."""

PART_BYTES = 256 * 1024 * 1024
"""Bytes of files at which a part ends sooner."""


class Watch(Protocol):
    """Whoever follows a run."""

    def begin(self, total: int) -> None:
        """The photographs are counted."""

    def seen(self, number: int) -> None:
        """That many more are done, here or in an earlier run."""

    def stopped(self) -> bool:
        """Whether to end after the open part."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did.

    Attributes:
        images: photographs of the input. faces: rows of the table that hold a face.
        failed, faceless, duplicates: photographs that can't be used, without a face, with the
            bytes of one before. skipped: contents taken over from an earlier run.
        reasons: failed photographs by reason; examples: the first of each.
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
    fp: FaceAnalyzer,
    engine: Engine,
    watch: Watch,
    *,
    resume: bool = False,
    overwrite: bool = False,
    part: int = PHOTOGRAPHS,
) -> Summary:
    """Photographs to a table of embeddings, resumable at any point.

    Args:
        sources: names of photographs, in the order of the table.
        part: photographs that a kill may cost; rows of a run with another value may differ in
            the last bits, so a run is resumed with the value it was begun with.
        out: ends in .parquet or .npz; what is needed to resume lies in `<out>.parts` until then.

    Raises:
        UsageError: no photographs; `out` exists or an unfinished run of it does, and neither
            `resume` nor `overwrite` was given; another run is writing it.
        ModelMismatchError: the unfinished run has other models or options.
        OSError: no space left, or no permission; what was done so far is kept.
    """
    start = time.monotonic()
    check_table_name(out)
    folder = out.with_name(out.name + ".parts")
    _check_free(out, folder, resume, overwrite)
    manifest_path = folder / "manifest.sqlite"
    begun = manifest_path.exists()
    out.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)  # embeddings of people: for the owner alone
    options = options_of(fp, engine, part)
    with plain(manifest_path), Manifest(folder, options) as manifest:
        run = _Run(manifest, engine, watch, part)
        with _no_trace(manifest, begun, FaceprintError, OSError):
            run.list_inputs(sources())
        if resume and out.exists() and manifest.next_part() == 1:
            already = _already(read_metadata(out), manifest, options)
            if already is not None:
                shutil.rmtree(folder)
                return replace(already, seconds=time.monotonic() - start)
        # A model that can't be loaded; a full disk keeps the digests that were taken.
        with _no_trace(manifest, begun, FaceprintError):
            finished = run.all_parts()
        totals = manifest.totals()
        if not finished:
            return Summary(*totals, run.skipped, time.monotonic() - start, finished=False)
        model, dim = fp.embedder.model, fp.embedder_card.dim or 0
        failed = manifest.reasons()
        reasons = {reason: number for reason, (number, _) in failed.items()}
        examples = {reason: source for reason, (_, source) in failed.items()}
        summary = Summary(*totals, run.skipped, 0.0, reasons=reasons, examples=examples)
        head = {"format": 1, "embedder": model, "options": options, "summary": asdict(summary)}
        head["fingerprint"] = _fingerprint(manifest.stamps(), options)
        rows = totals.faces + totals.failed + totals.faceless
        size = TableSize(rows, dim, *manifest.longest())
        write_table(out, size, head, lambda names: table_groups(manifest, names, dim, model))
    shutil.rmtree(folder)
    return replace(summary, seconds=time.monotonic() - start)


@contextlib.contextmanager
def _no_trace(manifest: Manifest, begun: bool, *errors: type[Exception]) -> Iterator[None]:
    """On these errors remove a new run in which nothing is done: it must not hinder the next."""
    try:
        yield
    except errors:
        if not begun and manifest.next_part() == 1:
            manifest.close()
            shutil.rmtree(manifest.folder)
        raise


def options_of(fp: FaceAnalyzer, engine: Engine, part: int) -> dict[str, str]:
    """What rows depend on beside the photographs."""
    from faceprint.zoo.card_io import card_hash

    return {
        "detector": f"{fp.detector_card.id} {card_hash(fp.detector_card)[:16]}",
        "embedder": f"{fp.embedder_card.id} {card_hash(fp.embedder_card)[:16]}",
        "mirror": str(fp.mirror).lower(),
        "runtime": fp.runtime,
        "faceprint": faceprint.__version__,
        "embedding": str(EMBEDDING_VERSION),
        "batch_size": str(engine.batch_size),
        "part": str(part),
    }


def _check_free(out: Path, folder: Path, resume: bool, overwrite: bool) -> None:
    if resume and overwrite:
        raise UsageError("resume goes on with a run and overwrite starts anew: not both")
    if overwrite:
        if (folder / "manifest.sqlite").exists():
            shutil.rmtree(folder)
        return
    if folder.exists() and not resume:
        raise UsageError(f"{folder} is of an unfinished run: --resume goes on, --overwrite anew")
    if out.exists() and not resume:
        raise UsageError(
            f"{out} exists; --overwrite replaces it, --resume leaves it where nothing changed"
        )


def _already(
    head: dict[str, Any] | None, manifest: Manifest, options: dict[str, str]
) -> Summary | None:
    """The summary of a finished table, when neither a photograph nor an option has changed."""
    now = ((source, work.stamp_of(source)[0]) for _, source, _ in manifest.inputs())
    if head is None or head.get("fingerprint") != _fingerprint(now, options):
        return None
    summary = Summary(**head["summary"])
    return replace(summary, skipped=summary.images - summary.duplicates - summary.failed)


def _fingerprint(stamps: Iterable[tuple[str, str]], options: dict[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    for pair in stamps:
        digest.update(json.dumps(pair).encode())
    return digest.hexdigest()


class _Run:
    """The parts of one run, planned as the engine asks for them."""

    def __init__(self, manifest: Manifest, engine: Engine, watch: Watch, part: int) -> None:
        self._manifest, self._engine, self._watch = manifest, engine, watch
        self._part, self._planned = part, 0
        self.skipped = 0
        self._stopped = False

    def list_inputs(self, sources: Iterable[str]) -> None:
        """Take down and count the photographs."""
        total = self._manifest.list_inputs(sources)
        if not total:
            raise UsageError("no photographs in what was named")
        self._watch.begin(total)

    def all_parts(self) -> bool:
        """Do what is not done yet; False when it was stopped before the end."""
        number, done = self._manifest.next_part(), 0
        with contextlib.closing(self._plan()) as parts:
            for part, outcome in self._engine.outcomes(parts, self._watch.seen):
                write_part(part_path(self._manifest.folder, number), outcome)
                self._manifest.record(number, part.digests, outcome)
                del outcome
                give_back_memory()
                number, done = number + 1, done + 1
                if self._watch.stopped() and done < self._planned:
                    self._stopped = True
                    break
        self._manifest.commit()
        return not self._stopped

    def _plan(self) -> Generator[Part, None, None]:
        photographs: list[tuple[str, str, bytes]] = []
        size = done = 0
        with contextlib.closing(self._engine.contents(self._manifest.inputs())) as contents:
            for position, source, content in contents:
                state = self._manifest.pin(position, source, content)
                if state == "new" and content.digest is not None:
                    full = len(photographs) == self._part or size + content.size > PART_BYTES
                    if photographs and full:
                        yield self._begun(photographs)
                        photographs, size = [], 0
                        if self._watch.stopped():
                            self._stopped = True
                            return
                    photographs.append((source, content.stamp, content.digest))
                    size += content.size
                    continue
                done += 1
                self._watch.seen(1)
                self.skipped += state == "done"
                if done % 4096 == 0:
                    self._manifest.commit()
        if photographs:
            yield self._begun(photographs)

    def _begun(self, photographs: list[tuple[str, str, bytes]]) -> Part:
        self._planned += 1
        sources, stamps, digests = zip(*photographs, strict=True)
        return Part(sources, stamps, digests, self._manifest.begin_part(digests))


def detector_of(table: Path) -> str:
    """The id of the detector that found a table's faces; empty where that is not known."""
    from faceprint.zoo.card_io import card_hash
    from faceprint.zoo.catalog import get_card

    options = (read_metadata(table) or {}).get("options", {})
    name, _, digest = str(options.get("detector", "")).partition(" ")
    try:
        card = get_card(name)
    except UnknownModelError:
        return ""
    # A card that has changed since is another detector's.
    return name if card_hash(card).startswith(digest) else ""
