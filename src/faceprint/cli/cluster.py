"""`faceprint cluster`: the people in an album."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceprint.cli import options
from faceprint.cli.cluster_report import report
from faceprint.cli.exit_codes import DONE, INPUT, NO
from faceprint.cli.output import counted, note, search_notes
from faceprint.cli.progress import progress
from faceprint.errors import UsageError
from faceprint.recognition.albums.corrections import Corrections, read_corrections

if TYPE_CHECKING:
    from faceprint.embedding_table.schema import EmbeddingTable
    from faceprint.recognition.albums.store import AlbumFile
    from faceprint.recognition.clustering.tasks import Run
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["cluster"]

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
            help="Contact sheet, folders a person, album file; or a table: .parquet or .npz.",
        ),
    ] = None,
    must_link: Annotated[
        _Files, typer.Option("--must-link", metavar="F", help="Pairs that are one person.")
    ] = None,
    cannot_link: Annotated[
        _Files, typer.Option("--cannot-link", metavar="F", help="Pairs that are two people.")
    ] = None,
    corrections: Annotated[
        _Files, typer.Option("--corrections", metavar="F", help="All of a contact sheet's file.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--from", metavar="TABLE", help="Embeddings made before: .parquet or .npz."),
    ] = None,
    state: Annotated[
        Path | None, typer.Option("--state", metavar="FILE", help="Album file. [DIR/album.db]")
    ] = None,
    folders: Annotated[
        str, typer.Option("--folders", help="What the folders hold: link, copy, or none.")
    ] = "link",
    forget: Annotated[
        list[str] | None,
        typer.Option("--forget", metavar="SOURCE", help="Remove this photograph from the album."),
    ] = None,
    forget_missing: Annotated[
        bool,
        typer.Option("--forget-missing", help="Remove the photographs that could not be found."),
    ] = False,
    fmr: Annotated[
        float | None, typer.Option("--fmr", help="Strictness, as a false match rate. [5e-5]")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Strictness, as a cosine similarity.")
    ] = None,
    scratch: Annotated[
        Path | None,
        typer.Option(
            "--scratch", metavar="DIR", help="Keep the embeddings of --from in files there."
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", metavar="NAME", help="Finds neighbors: local, or ray.")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="HOST:PORT", help="Of a Ray cluster. [this machine]"),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", min=1, help="Tasks of the Ray engine.")
    ] = 2,
    exclude: options.Exclude = None,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Sort photographs into people. Exit code 1: no face was found.

    With --out, DIR/index.html shows the people and takes corrections, DIR/people has a folder for
    each, and DIR/album.db is what the next run goes on from: run it again with new photographs and
    --corrections, and people keep their numbers. Photographs are known by their content: names stay
    when files are moved, and what is not found waits. JSON: people[]: id, name, faces[]: source,
    box; unassigned[]: source, box, reason; missing[]: source, names; threshold, measured_on (in
    words), evidence (measured, copy, album, borrowed, published or given), provisional;
    unreadable{folder: reason}, passed_over{kind: how many}. Exit code 3: some photographs or
    folders could not be used.

    --scratch is for a table that is larger than memory; the people then go to --out FILE or --json.
    With --engine ray a cluster compares the faces.
    """
    from faceprint.recognition import cluster as clustering
    from faceprint.recognition.albums.people_table import check_name, is_table
    from faceprint.recognition.albums.sync import find_photographs
    from faceprint.vision.search_report import SearchReport

    _check_choices(folders, table, paths)
    if out is not None and is_table(out):
        check_name(out)
    elif out is not None:
        _check_folder(out)
        out.mkdir(parents=True, exist_ok=True)
        state = state or out / "album.db"
    asked = "--forget" if forget else "--forget-missing" if forget_missing else ""
    _check_sources(paths, table, state, scratch, asked)
    said = _read(must_link, cannot_link, corrections)
    given = {"threshold": threshold, "fmr": fmr}
    clustering.check_merge_options(**given)
    run = _run(engine, address, workers, models.threads)
    search = SearchReport()
    photographs = find_photographs(paths or [], exclude=exclude or (), report=search)
    search_notes(search)
    if no_photographs := bool(paths) and not photographs:
        note("no photographs in what was named")
    analyzer = models.load() if paths else None
    detector = _detector(analyzer, table)
    if state is None:
        with _faces(analyzer, photographs, table, scratch) as faces:
            demand = clustering.merge_threshold_for(faces, detector, **given)
            album = clustering.cluster_table(faces, demand, said, run=run)
    else:
        from faceprint.recognition.albums.corrections_store import correct
        from faceprint.recognition.albums.store import AlbumFile

        with AlbumFile(state) as file:
            failed = _grown(file, analyzer, paths, table, exclude or ())
            _forget(file, forget or [], forget_missing, not failed and not search.unreadable)
            notes = correct(file, said)
            demand = clustering.merge_threshold_for(file.stored().table, detector, **given)
            album = clustering.cluster_file(file, demand, run=run)
            album = replace(album, failed=failed, notes=(*notes, *album.notes))
    if not album.people and not album.unassigned and not no_photographs:
        note("no face was found in what was named")
    report(album, out, folders, search if as_json else None)
    if album.failed or search.unreadable:
        return INPUT
    return DONE if album.people or album.unassigned else NO


def _check_choices(folders: str, table: Path | None, paths: list[Path] | None) -> None:
    if folders not in ("link", "copy", "none"):
        raise UsageError(f"--folders is {folders!r}; it is link, copy or none")
    if table is not None and paths:
        raise UsageError("give photographs or --from TABLE, not both")


def _check_sources(
    paths: _Files, table: Path | None, state: Path | None, scratch: Path | None, asked: str
) -> None:
    """Check that there is something to sort, and that --scratch and --forget go with it."""
    if scratch is not None and (table is None or state is not None):
        raise UsageError("--scratch goes with --from TABLE, and with --out FILE or --json")
    if table is None and not paths and (state is None or not state.exists()):
        raise UsageError("give photographs or folders, --from TABLE, or --state FILE of an album")
    if state is None and asked:
        raise UsageError(f"{asked} needs an album: --out DIR or --state FILE")


def _check_folder(out: Path) -> None:
    """Refuse a name that asks for a kind of file that is not written."""
    if out.suffix.lower() in _OTHER_TABLES and not out.is_dir():
        raise UsageError(
            f"--out {out}: a table ends in .parquet or .npz; a folder of that name has to exist"
        )


def _run(engine: str, address: str | None, workers: int, threads: int | None) -> Run | None:
    if engine not in ("local", "ray"):
        raise UsageError(f"--engine {engine}: there are local and ray")
    if engine == "ray":
        from faceprint.bulk.ray_cluster import on_ray

        return on_ray(address=address, workers=workers)
    if address is not None:
        raise UsageError("--address belongs to --engine ray")
    if threads is None:
        return None
    from faceprint.recognition.clustering.tasks import in_threads

    return in_threads(threads)


@contextmanager
def _faces(
    analyzer: FaceAnalyzer | None, photographs: list[str], table: Path | None, scratch: Path | None
) -> Iterator[EmbeddingTable]:
    """The faces of photographs or of a table, while files of theirs are there."""
    if analyzer is not None:
        yield _analyze(analyzer, photographs)
        return
    from faceprint.embedding_table.reader import read_table

    assert table is not None
    if scratch is None:
        yield read_table(table)
        return
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=scratch, prefix="faceprint-", ignore_cleanup_errors=True
    ) as folder:
        yield read_table(table, Path(folder))


def _grown(
    file: AlbumFile,
    analyzer: FaceAnalyzer | None,
    paths: list[Path] | None,
    table: Path | None,
    exclude: Sequence[str],
) -> tuple[tuple[str, str], ...]:
    """Takes in what is new; what could not be used comes back, with the reasons."""
    from faceprint.recognition.albums.sync import grow, sync_photographs

    if analyzer is not None:
        done = grow(file, paths or [], analyzer, exclude=exclude, progress=progress("photographs"))
        more = [
            f", {n} {word}"
            for n, word in ((done.changed, "changed"), (done.missing, "missing"))
            if n
        ]
        note(f"{done.added} new, {done.known} known{''.join(more)}")
        return done.failed
    if table is None:
        return ()
    from faceprint.embedding_table.reader import read_table

    return sync_photographs(file, read_table(table)).failed


def _forget(file: AlbumFile, sources: list[str], missing: bool, sure: bool) -> None:
    """Remove what the owner asked for, once everything else went well."""
    from faceprint.recognition.albums import incremental

    for source in sources:
        if not incremental.forget(file, [source]):
            note(f"{source}: not in the album, nothing to forget")
    if not missing:
        return
    if not sure:
        note("nothing that is missing was forgotten, as some of what was named could not be used")
        return
    count, lost = incremental.forget_missing(file)
    whom = f"; nothing is left of {', '.join(lost)}" if lost else ""
    note(f"{counted(count, 'missing photograph', 'missing photographs')} forgotten{whom}")


def _detector(analyzer: FaceAnalyzer | None, table: Path | None) -> str:
    """The detector that found the faces; a table of `embed` names it; empty when not known."""
    if analyzer is not None:
        return analyzer.detector_card.id
    if table is None:
        return ""
    from faceprint.bulk.run import detector_of

    return detector_of(table)


def _analyze(analyzer: FaceAnalyzer, photographs: list[str]) -> EmbeddingTable:
    from faceprint.recognition.albums.faces import collect

    show = progress("photographs")
    results = analyzer.analyze_many(photographs)
    return collect(results, lambda done: show(done, len(photographs)))


def _read(must_link: _Files, cannot_link: _Files, corrections: _Files) -> Corrections:
    said = Corrections()
    for path in must_link or []:
        said |= read_corrections(path, "must_link")
    for path in cannot_link or []:
        said |= read_corrections(path, "cannot_link")
    for path in corrections or []:
        said |= read_corrections(path)
    return said
