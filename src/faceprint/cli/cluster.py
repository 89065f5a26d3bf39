"""`faceprint cluster`: the people in an album."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceprint._text import counted
from faceprint.cli import completion, options
from faceprint.cli.cluster_report import report
from faceprint.cli.exit_codes import DONE, INPUT, NO
from faceprint.cli.output import note, search_notes
from faceprint.cli.progress import progress
from faceprint.errors import UsageError

if TYPE_CHECKING:
    from faceprint.recognition.albums.corrections import Corrections
    from faceprint.recognition.albums.people import Album
    from faceprint.recognition.albums.store import AlbumFile
    from faceprint.recognition.cluster import ClusterOptions
    from faceprint.recognition.clustering.tasks import Run
    from faceprint.types import AnalyzedImage
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["cluster"]

_FolderKind = Annotated[
    str,
    typer.Option(
        help="What the folders per person hold: link, copy or none.",
        autocompletion=completion.choices("link", "copy", "none"),
    ),
]
_Files = list[Path] | None
_OTHER_TABLES = {".csv", ".tsv", ".json", ".jsonl", ".html", ".htm", ".txt", ".db", ".sqlite"}
_OTHER_TABLES |= {".pq", ".arrow", ".feather", ".npy", ".xlsx", ".ods", ".zip", ".pdf"}


@options.with_model_options(*options.STREAM)
def cluster(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH...", help="Photographs and folders.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR|FILE",
            help="Folder for contact sheet, folders and album file; or a table, .parquet or .npz.",
        ),
    ] = None,
    must_link: Annotated[
        _Files, typer.Option("--must-link", metavar="F", help="File of pairs that are one person.")
    ] = None,
    cannot_link: Annotated[
        _Files,
        typer.Option("--cannot-link", metavar="F", help="File of pairs that are two people."),
    ] = None,
    corrections: Annotated[
        _Files,
        typer.Option(
            "--corrections", metavar="F", help="Corrections downloaded from a contact sheet."
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--from", metavar="TABLE", help="Embeddings made by embed, .parquet or .npz."),
    ] = None,
    state: Annotated[
        Path | None, typer.Option("--state", metavar="FILE", help="Album file. [DIR/album.db]")
    ] = None,
    folders: _FolderKind = "link",
    forget: Annotated[
        list[str] | None,
        typer.Option("--forget", metavar="SOURCE", help="Remove this photograph from the album."),
    ] = None,
    forget_missing: Annotated[
        bool,
        typer.Option("--forget-missing", help="Remove the photographs that could not be found."),
    ] = False,
    fmr: Annotated[
        float | None,
        typer.Option("--fmr", help="Merge threshold, as a false match rate. [automatic]"),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="Merge threshold, as a cosine similarity. [automatic]"),
    ] = None,
    scratch: Annotated[
        Path | None,
        typer.Option(
            "--scratch",
            metavar="DIR",
            help="Keep the embeddings of --from in files there, not in memory.",
        ),
    ] = None,
    engine: options.Engine = "local",
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="HOST:PORT", help="Ray cluster to use. [this machine]"),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", min=1, help="Number of Ray workers.")
    ] = 2,
    exclude: options.Exclude = None,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Sort photographs into people. Exit code 1: no face was found.

    With --out, DIR/index.html shows the people and takes corrections, DIR/people has one folder per
    person, and DIR/album.db keeps the album for the next run: run the command again with new
    photographs and --corrections, and people keep their numbers. Photographs are known by their
    content: names are kept when files are moved, and missing photographs stay in the album. JSON:
    people[]: id, name, faces[]: source, box; unassigned[]: source, box, reason; missing[]: source,
    names; threshold, measured_on (in words), evidence (measured, copy, album, borrowed, published
    or given), provisional; unreadable{folder: reason}, passed_over{kind: how many}. Exit code 3:
    some photographs or folders could not be used.

    --scratch is for a table larger than memory; the people then go to --out FILE or --json. With
    --engine ray, a cluster compares the faces.
    """
    from faceprint.recognition.albums.store import AlbumFile
    from faceprint.recognition.albums.sync import find_photographs
    from faceprint.recognition.cluster import ClusterOptions, cluster_album
    from faceprint.vision.search_report import SearchReport

    if table is not None and paths:
        raise UsageError("give photographs or --from TABLE, not both")
    state = _check_outputs(out, folders, state)
    _check_inputs(paths, table, state, scratch)
    if state is None and (forget or forget_missing):
        option = "--forget" if forget else "--forget-missing"
        raise UsageError(f"{option} needs an album: --out DIR or --state FILE")
    all_corrections = _read_corrections(must_link, cannot_link, corrections)
    how = ClusterOptions(threshold=threshold, fmr=fmr)
    how = replace(how, run=_task_runner(engine, address, workers, models.threads))
    search = SearchReport()
    photographs = find_photographs(paths or [], exclude=exclude or (), report=search)
    search_notes(search)
    if no_photographs := bool(paths) and not photographs:
        note("no photographs were found")
    analyzer = models.load() if paths else None
    how = replace(how, detector=_detector(analyzer, table))
    if state is None:
        album = _cluster_faces(analyzer, photographs, table, scratch, all_corrections, how)
    else:
        with AlbumFile(state) as file:
            failed = _sync(file, analyzer, photographs, table)
            complete = not failed and not search.unreadable
            _forget(file, forget or [], forget_missing, complete)
            album = cluster_album(file, all_corrections, how, failed=failed)
    if not album.people and not album.unassigned and not no_photographs:
        note("no face was found")
    report(album, out, folders, search if as_json else None)
    if album.failed or search.unreadable:
        return INPUT
    return DONE if album.people or album.unassigned else NO


def _check_outputs(out: Path | None, folders: str, state: Path | None) -> Path | None:
    """Refuse outputs that can't be written, and make the folder; returns the album file."""
    from faceprint.recognition.albums.people_table import check_name, is_table

    if folders not in ("link", "copy", "none"):
        raise UsageError(f"--folders is {folders!r}; it is link, copy or none")
    if out is None:
        return state
    if is_table(out):
        check_name(out)
        return state
    if out.suffix.lower() in _OTHER_TABLES and not out.is_dir():
        raise UsageError(
            f"--out {out}: a table ends in .parquet or .npz; to use a folder of that name, create "
            "it first"
        )
    out.mkdir(parents=True, exist_ok=True)
    return state or out / "album.db"


def _check_inputs(
    paths: _Files, table: Path | None, state: Path | None, scratch: Path | None
) -> None:
    """Check that there is something to cluster, and that --scratch goes with it."""
    if scratch is not None and (table is None or state is not None):
        raise UsageError("--scratch goes with --from TABLE, and with --out FILE or --json")
    if table is None and not paths and (state is None or not state.exists()):
        raise UsageError("give photographs or folders, --from TABLE, or --state FILE of an album")


def _task_runner(engine: str, address: str | None, workers: int, threads: int | None) -> Run | None:
    if engine not in ("local", "ray"):
        raise UsageError(f"--engine {engine}: there are local and ray")
    if engine == "ray":
        from faceprint.bulk.ray_cluster import on_ray

        return on_ray(address=address, workers=workers)
    if address is not None:
        raise UsageError("--address belongs to --engine ray")
    from faceprint.recognition.clustering.tasks import in_threads

    return None if threads is None else in_threads(threads)


def _cluster_faces(
    analyzer: FaceAnalyzer | None,
    photographs: list[str],
    table: Path | None,
    scratch: Path | None,
    corrections: Corrections,
    how: ClusterOptions,
) -> Album:
    """Cluster without an album file."""
    from faceprint.embedding_table.reader import read_table
    from faceprint.recognition.albums.faces import collect
    from faceprint.recognition.cluster import cluster_table

    if analyzer is not None:
        results = _with_progress(analyzer.analyze_many(photographs), len(photographs))
        return cluster_table(collect(results), corrections, how)
    assert table is not None
    if scratch is None:
        return cluster_table(read_table(table), corrections, how)
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=scratch, prefix="faceprint-", ignore_cleanup_errors=True
    ) as folder:
        return cluster_table(read_table(table, Path(folder)), corrections, how)


def _with_progress(results: Iterable[AnalyzedImage], total: int) -> Iterator[AnalyzedImage]:
    show = progress("photographs")
    for done, result in enumerate(results, start=1):
        yield result
        show(done, total)


def _sync(
    file: AlbumFile, analyzer: FaceAnalyzer | None, photographs: list[str], table: Path | None
) -> tuple[tuple[str, str], ...]:
    """Bring the album up to date; returns photographs that could not be used, with the reasons."""
    from faceprint.recognition.albums.sync import sync_files, sync_table

    if analyzer is not None:
        done = sync_files(file, photographs, analyzer, progress=progress("photographs"))
        counts = ((done.changed, "changed"), (done.missing, "missing"))
        more = [f", {count} {word}" for count, word in counts if count]
        note(f"{done.added} new, {done.known} known{''.join(more)}")
        return done.failed
    if table is None:
        return ()
    from faceprint.embedding_table.reader import read_table

    return sync_table(file, read_table(table)).failed


def _forget(file: AlbumFile, sources: list[str], missing: bool, complete: bool) -> None:
    """Remove photographs from the album; missing ones only after a complete run."""
    from faceprint.recognition.albums import removal

    for source in sources:
        if not removal.forget(file, [source]):
            note(f"{source}: not in the album, nothing to forget")
    if not missing:
        return
    if not complete:
        note("no missing photograph was forgotten: some photographs or folders could not be used")
        return
    count, lost = removal.forget_missing(file)
    names = f"; nothing is left of {', '.join(lost)}" if lost else ""
    note(f"{counted(count, 'missing photograph', 'missing photographs')} forgotten{names}")


def _detector(analyzer: FaceAnalyzer | None, table: Path | None) -> str:
    """The detector that found the faces; a table made by `embed` names it; empty if unknown."""
    from faceprint.bulk.run import detector_of

    if analyzer is not None:
        return analyzer.detector_card.id
    return "" if table is None else detector_of(table)


def _read_corrections(must_link: _Files, cannot_link: _Files, corrections: _Files) -> Corrections:
    from faceprint.recognition.albums.corrections import Corrections
    from faceprint.recognition.albums.corrections_file import read_corrections

    found = Corrections()
    for path in must_link or []:
        found |= read_corrections(path, "must_link")
    for path in cannot_link or []:
        found |= read_corrections(path, "cannot_link")
    for path in corrections or []:
        found |= read_corrections(path)
    return found
