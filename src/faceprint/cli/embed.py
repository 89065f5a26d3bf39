"""`faceprint embed`: any number of photographs to a table of embeddings."""

from __future__ import annotations

import glob
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceprint.cli import options
from faceprint.cli.exit_codes import DONE, INPUT, NO, exit_code
from faceprint.cli.output import counted, note, print_json, say, search_notes
from faceprint.errors import InputError, SourceNotFoundError, UsageError

if TYPE_CHECKING:
    from faceprint.bulk.local import Engine
    from faceprint.bulk.run import Summary
    from faceprint.vision.analyzer import FaceAnalyzer
    from faceprint.vision.search_report import SearchReport

__all__ = ["embed"]

_INTERRUPTED = 130


def embed(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Files, folders, globs, lists (.txt, .parquet), or - for names on stdin.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The table: .parquet or .npz.")
    ],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was interrupted.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace FILE, forget an unfinished run.")
    ] = False,
    engine: Annotated[
        str, typer.Option("--engine", metavar="NAME", help="local, or ray (a cluster).")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="HOST:PORT", help="Of a Ray cluster. [this machine]"),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", min=1, help="Actors of the Ray engine.")
    ] = 2,
    batch_size: Annotated[
        int, typer.Option("--batch-size", metavar="N", min=1, help="Photographs in a batch.")
    ] = 32,
    part: Annotated[
        int, typer.Option("--part", metavar="N", min=1, help="Photographs a kill may cost.")
    ] = 512,
    exclude: options.Exclude = None,
    as_json: options.Json = False,
    pack: options.Pack = None,
    detector: options.Detector = None,
    embedder: options.Embedder = None,
    runtime: options.Runtime = None,
    threads: options.Threads = None,
    processes: options.Processes = None,
) -> int:
    """Embed every face of many photographs into one table; a row a face.

    A photograph that fails is a row with its error and the run goes on. Exit code 0: done; 1: no
    face anywhere; 3: every photograph failed; 5: the table can't be written; 130: interrupted.
    JSON: images, faces, failed, faceless, duplicates, skipped, seconds, finished, reasons,
    examples (the first photograph of each reason), out, unreadable{folder: reason},
    passed_over{kind: how many}.
    """
    from faceprint._memory import one_arena
    from faceprint.bulk.inputs import expand, lines_of
    from faceprint.bulk.run import embed_table
    from faceprint.vision.search_report import SearchReport

    _check_words(paths, out)
    one_arena()
    fp = options.analyzer(pack, detector, embedder, runtime, threads, processes)
    if engine == "ray":
        if processes is not None:
            raise UsageError("--processes belongs to --engine local; ray has --workers")
        cpus = threads or 1
        load = partial(options.analyzer, pack, detector, embedder, runtime, cpus)
        chosen = _ray(load, batch_size, address, workers, cpus)
    else:
        chosen = _local(engine, fp, batch_size, address)
    report = SearchReport()

    def sources() -> Iterator[str]:
        found = False
        # Bytes: names on standard input may be in another encoding than the terminal's.
        stdin = lines_of(sys.stdin.buffer) if "-" in paths else ()
        for name in expand(paths, stdin, exclude=exclude or (), report=report):
            found = True
            yield name
        search_notes(report)
        if not found and report.unreadable:
            raise InputError("no photographs: what was named can't be read")

    with _interruptible() as stopped:
        try:
            summary = embed_table(
                sources,
                out,
                fp,
                chosen,
                _Progress(stopped),
                resume=resume,
                overwrite=overwrite,
                part=part,
            )
        except OSError as error:
            if isinstance(error, UsageError) or not error.errno:
                raise
            where = error.filename or out
            kept = os.path.isdir(f"{out}.parts")  # noqa: PTH112
            rest = f"; what is done is kept: {_how(out)}" if kept else ""
            note(f"faceprint: {where}: {error.strerror}{rest}")
            return exit_code(error)
    return _report(summary, out, report, as_json)


def _check_words(paths: list[str], out: Path) -> None:
    """Refuse slips before any work: nothing that was named exists, or the table is a folder."""
    from faceprint._files import is_gone
    from faceprint.bulk.inputs import is_remote

    if os.path.isdir(out):  # noqa: PTH112 - False, and no error, below a closed folder
        raise UsageError(f"{out} is a folder; --out is the table's file, as {out / 'table.npz'}")
    if all(
        word != "-" and not is_remote(word) and not glob.has_magic(word) and is_gone(word)
        for word in paths
    ):
        raise SourceNotFoundError(f"{', '.join(paths[:3])}: no such file or folder")


def _local(name: str, fp: FaceAnalyzer, batch_size: int, address: str | None) -> Engine:
    if name != "local":
        raise UsageError(f"--engine {name}: there are local and ray")
    if address is not None:
        raise UsageError("--address belongs to --engine ray")
    from faceprint.bulk.local import LocalEngine

    return LocalEngine(fp, batch_size)


def _ray(
    load: Callable[[], FaceAnalyzer], batch_size: int, address: str | None, workers: int, cpus: int
) -> Engine:
    from faceprint.bulk.ray import RayEngine

    return RayEngine(load, batch_size, address=address, workers=workers, cpus=cpus)


def _report(summary: Summary, out: Path, report: SearchReport, as_json: bool) -> int:
    if as_json:
        seconds = round(summary.seconds, 2)
        document = asdict(summary) | {"seconds": seconds, "out": str(out)}
        print_json(document | report.to_json())
    else:
        say(
            f"{counted(summary.images, 'photograph', 'photographs')}, "
            f"{counted(summary.faces, 'face', 'faces')} in {summary.seconds:.0f} s: "
            f"{summary.failed:,} failed, {summary.faceless:,} without a face, "
            f"{summary.duplicates:,} named twice, {summary.skipped:,} done before"
        )
    for reason, number in summary.reasons.items():
        first = summary.examples.get(reason, "see the table")  # of an older faceprint: none
        note(f"failed: {number:,} x {reason} ({first}{', ...' if number > 1 else ''})")
    if not summary.finished:
        note(f"faceprint: interrupted; {_how(out)}")
        return _INTERRUPTED
    if summary.failed == summary.images:
        return INPUT
    return DONE if summary.faces else NO


def _how(out: Path) -> str:
    return f"the same command with --resume goes on ({out}.parts holds what is done)"


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C ends the run after the open part, the second at once."""
    asked = False

    def handle(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        note("")
        note("faceprint: finishing the open part; Ctrl-C again ends at once and loses it")

    before: Any = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


class _Progress:
    """A line that renews itself on a terminal, a line every ten seconds elsewhere."""

    _EVERY = 10.0

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self.stopped = stopped
        self._terminal = sys.stderr.isatty()
        self._total = self._done = 0
        self._start = self._last = time.monotonic()

    def begin(self, total: int) -> None:
        """The photographs are counted."""
        self._total, self._start = total, time.monotonic()

    def seen(self, number: int) -> None:
        """That many more are done."""
        self._done += number
        now = time.monotonic()
        final = self._done >= self._total
        if not final and now - self._last < (0.2 if self._terminal else self._EVERY):
            return
        self._last = now
        rate = self._done / max(now - self._start, 1e-3)
        left = (self._total - self._done) / rate
        text = f"embed: {self._done:,} of {self._total:,}, {rate:.1f} a second, {left:.0f} s left"
        lead = "\r\x1b[K" if self._terminal else ""
        print(  # noqa: T201
            lead + text,
            end="\n" if final or not self._terminal else "",
            file=sys.stderr,
            flush=True,
        )
