"""`faceprint gallery import`: an export, or what another program stored."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from faceprint import settings
from faceprint._text import counted
from faceprint.cli import completion, options
from faceprint.cli.exit_codes import DONE
from faceprint.cli.gallery_options import KeyFile, Location, announced, gallery_exists, open_gallery
from faceprint.cli.output import note, print_json, say

__all__ = ["import_"]


def import_(
    gallery: Location,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help=".jsonl or .parquet; with --embedder .json, .npy, .npz, .parquet, deepface's "
            ".pkl, postgresql://... or a dump of one (.sql, .sql.gz).",
        ),
    ],
    embedder: Annotated[
        str | None,
        typer.Option(
            "--embedder",
            metavar="ID",
            help="SOURCE holds another program's embeddings, made by this card's network.",
            autocompletion=completion.embedders,
        ),
    ] = None,
    layout: Annotated[
        str,
        typer.Option(
            "--layout",
            metavar="NAME",
            help="Whose tables a database or dump has: compreface, deepface or immich.",
            autocompletion=completion.choices("compreface", "deepface", "immich"),
        ),
    ] = "",
    table: Annotated[
        str, typer.Option("--table", metavar="TABLE", help="Instead of --layout: the table.")
    ] = "",
    name_column: Annotated[
        str, typer.Option("--name-column", metavar="COLUMN", help="Who it is, in TABLE.")
    ] = "",
    embedding_column: Annotated[
        str,
        typer.Option(
            "--embedding-column", metavar="COLUMN", help="A pgvector or an array, in TABLE."
        ),
    ] = "",
    metadata_column: Annotated[
        list[str] | None,
        typer.Option(
            "--metadata-column",
            metavar="COLUMN",
            help="Becomes metadata of the subject; repeatable.",
        ),
    ] = None,
    calculator: Annotated[
        str,
        typer.Option(
            "--calculator",
            metavar="NAME",
            help="CompreFace's calculator, if --embedder is its network.",
        ),
    ] = "",
    key_file: KeyFile = None,
    as_json: options.Json = False,
) -> int:
    """Import an export, all or nothing. A missing gallery is created for its model.

    JSON: file, templates (new), known, subjects; if there are any: unnamed (faces without a name)
    and faceless (photographs without a face), which were left out, and notes[].
    """
    from faceprint.recognition.gallery import Gallery, SourceTable
    from faceprint.recognition.gallery.crypto import read_key_file
    from faceprint.recognition.gallery.foreign.source import source_label
    from faceprint.recognition.gallery.transfer import pin_in

    columns = tuple(metadata_column or ())
    given = (layout, table, name_column, embedding_column, columns, calculator)
    place = (
        SourceTable(layout, table, name_column, embedding_column, columns, calculator)
        if any(given)
        else None
    )
    new = not gallery_exists(gallery)
    if not new:
        opened = open_gallery(gallery, key_file)
    else:
        key = None if key_file is None else read_key_file(key_file)
        opened = announced(Gallery.open(gallery, model=pin_in(source, embedder, place), key=key))
    left_empty = False
    try:
        with opened:
            try:
                done = opened.import_(source, embedder, place)
            except BaseException:
                left_empty = new and not opened
                raise
    finally:
        if left_empty:  # it would hold on to its model
            settings.expanded(gallery).unlink(missing_ok=True)
    if as_json:
        found = {key: value for key, value in asdict(done).items() if value or key in _ALWAYS}
        print_json({"file": source_label(source)} | found)
        return DONE
    for text in done.notes:
        note(text)
    if done.unnamed:
        note(f"{counted(done.unnamed, 'face', 'faces')} without a name left out")
    if done.faceless:
        note(f"{counted(done.faceless, 'photograph', 'photographs')} without a face left out")
    people = counted(done.subjects, "subject", "subjects")
    say(f"{done.templates:,} new, {done.known:,} known, of {people}")
    return DONE


_ALWAYS = ("templates", "known", "subjects")
