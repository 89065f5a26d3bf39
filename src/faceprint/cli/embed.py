"""`faceprint embed`: writes the embeddings of any number of photographs into one table."""

from __future__ import annotations

import glob
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceprint._text import counted
from faceprint.cli import options
from faceprint.cli.exit_codes import DONE, INPUT, NO, OTHER
from faceprint.cli.output import note, print_json, say, search_notes
from faceprint.errors import InputError, SourceNotFoundError, UsageError

if TYPE_CHECKING:
    from faceprint.bulk.local import Engine
    from faceprint.bulk.run import Summary
    from faceprint.vision.analyzer import FaceAnalyzer
    from faceprint.vision.search_report import SearchReport

__all__ = ["embed"]

_INTERRUPTED = 130


@options.with_model_options(*options.STREAM)
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
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace FILE and discard an unfinished run.")
    ] = False,
    engine: options.Engine = "local",
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="HOST:PORT", help="Ray cluster. [this machine]"),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", min=1, help="Number of Ray actors.")
    ] = 2,
    batch_size: Annotated[
        int, typer.Option("--batch-size", metavar="N", min=1, help="Photographs per batch.")
    ] = 32,
    part: Annotated[
        int,
        typer.Option("--part", metavar="N", min=1, help="Photographs a kill loses at most."),
    ] = 512,
    exclude: options.Exclude = None,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Embed every face of many photographs into one table, one row per face.

    A photograph that fails gets a row with its error, and the run continues. Exit code 0: done; 1:
    no face found; 3: every photograph failed; 5: the table can't be written; 130: interrupted.
    JSON: images, faces, failed, faceless, duplicates, skipped, seconds, finished, reasons,
    examples (the first photograph of each reason), out, unreadable{folder: reason},
    passed_over{kind: how many}.
    """
    from faceprint._memory import one_arena
    from faceprint.bulk.inputs import expand, lines_of
    from faceprint.bulk.run import embed_table
    from faceprint.vision.search_report import SearchReport

    _check_arguments(paths, out)
    one_arena()
    analyzer = models.load()
    chosen: Engine
    if engine == "ray":
        if models.processes is not None:
            raise UsageError("--processes is for --engine local; with ray, use --workers")
        cpus = models.threads or 1
        load = replace(models, threads=cpus, processes=1).load
        from faceprint.bulk.ray import RayEngine

        chosen = RayEngine(load, batch_size, address=address, workers=workers, cpus=cpus)
    else:
        chosen = _local(engine, analyzer, batch_size, address)
    report = SearchReport()

    def sources() -> Iterator[str]:
        found = False
        # Bytes, since names on standard input may have another encoding than the terminal.
        stdin = lines_of(sys.stdin.buffer) if "-" in paths else ()
        for name in expand(paths, stdin, exclude=exclude or (), report=report):
            found = True
            yield name
        search_notes(report)
        if not found and report.unreadable:
            raise InputError("no photographs: the named files and folders can't be read")

    with _interruptible() as stopped:
        try:
            summary = embed_table(
                sources,
                out,
                analyzer,
                chosen,
                _Progress(stopped),
                resume=resume,
                overwrite=overwrite,
                part=part,
            )
        except OSError as error:
            if isinstance(error, UsageError) or not error.errno:
                raise
            kept = os.path.isdir(f"{out}.parts")  # noqa: PTH112
            hint = f"; {_resume_hint(out)}" if kept else ""
            note(f"faceprint: {error.filename or out}: {error.strerror}{hint}")
            return OTHER
    return _report(summary, out, report, as_json)


def _check_arguments(paths: list[str], out: Path) -> None:
    """Before any work, check that some of PATH exists and that the table is not a folder."""
    from faceprint._files import is_gone
    from faceprint.bulk.inputs import is_remote

    if os.path.isdir(out):  # noqa: PTH112 - False, and no error, below a closed folder
        raise UsageError(f"{out} is a folder; --out takes a file, as {out / 'table.npz'}")
    if all(
        path != "-" and not is_remote(path) and not glob.has_magic(path) and is_gone(path)
        for path in paths
    ):
        raise SourceNotFoundError(f"{', '.join(paths[:3])}: no such file or folder")


def _local(name: str, analyzer: FaceAnalyzer, batch_size: int, address: str | None) -> Engine:
    if name != "local":
        raise UsageError(f"--engine {name}: the engines are local and ray")
    if address is not None:
        raise UsageError("--address is for --engine ray")
    from faceprint.bulk.local import LocalEngine

    return LocalEngine(analyzer, batch_size)


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
            f"{summary.duplicates:,} duplicates, {summary.skipped:,} done before"
        )
    for reason, number in summary.reasons.items():
        first = summary.examples.get(reason, "see the table")  # older tables have no examples
        note(f"failed: {number:,} x {reason} ({first}{', ...' if number > 1 else ''})")
    if not summary.finished:
        note(f"faceprint: interrupted; {_resume_hint(out)}")
        return _INTERRUPTED
    if summary.failed == summary.images:
        return INPUT
    return DONE if summary.faces else NO


def _resume_hint(out: Path) -> str:
    return f"{out}.parts keeps what is done; the same command with --resume continues"


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C ends the run after the open part, the second one immediately."""
    asked = False

    def handle(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        note("")
        note("faceprint: finishing the open part; press Ctrl-C again to stop now and lose it")

    before: Any = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


class _Progress:
    """A line that is updated on a terminal, or a new line every ten seconds elsewhere."""

    _EVERY = 10.0

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self.stopped = stopped
        self._terminal = sys.stderr.isatty()
        self._total = self._done = 0
        self._start = self._last = time.monotonic()

    def begin(self, total: int) -> None:
        """Called once, with the number of photographs."""
        self._total, self._start = total, time.monotonic()

    def advance(self, number: int) -> None:
        """Called when so many more photographs are done."""
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
