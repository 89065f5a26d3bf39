"""Open what another program stored, whatever it is."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path

from faceprint.errors import DatasetError, UsageError
from faceprint.recognition.gallery.factory import is_postgres
from faceprint.recognition.gallery.foreign import deepface, dump, files
from faceprint.recognition.gallery.foreign.faces import LeftOut, records
from faceprint.recognition.gallery.foreign.layouts import SourceTable, read_tables
from faceprint.recognition.gallery.foreign.tables import Tables, server_label, server_tables
from faceprint.recognition.gallery.transfer_files import Record

__all__ = ["check_source", "foreign_records", "source_label"]


def source_label(source: str) -> str:
    """The source for messages and answers: of an address nothing but host, database and schema."""
    return server_label(source) if is_postgres(source) else source


def _is_dump(source: str) -> bool:
    return source.lower().endswith(dump.DUMP_SUFFIXES)


def check_source(source: str, embedder: str, table: SourceTable | None) -> None:
    """Check what can be said of a source without reading it.

    Raises:
        UsageError: a database or dump without `table`, or `table` for another file.
        DatasetError: no such file.
        DatasetError, ModelMismatchError: a pickle of deepface's by another network.
    """
    if not is_postgres(source) and not Path(source).exists():
        raise DatasetError(f"{source}: no such file")
    if is_postgres(source) or _is_dump(source):
        if table is None:
            SourceTable()  # says what is missing
    elif table is not None:
        raise UsageError(
            "tables and layouts are for PostgreSQL addresses and dumps (.sql, .sql.gz)"
        )
    elif Path(source).suffix.lower() == ".pkl":
        deepface.check_model(Path(source), embedder)


@contextlib.contextmanager
def foreign_records(
    source: str, embedder: str, dim: int, table: SourceTable | None, left_out: LeftOut
) -> Iterator[Generator[Record, None, None]]:
    """The faces of a file, database or dump, as records of an export.

    Args:
        source: a path, or `postgresql://...`.
        embedder: the card whose network made them.
        dim: length of an embedding.
        table: where they are in a database or dump.
        left_out: receives what was left out, once the records are read.

    Raises:
        DatasetError: not such a source, damaged, or embeddings of another length.
        GalleryError: the server can't be reached.
        ModelMismatchError: the source names another network.
        UsageError: as `check_source`.
    """
    check_source(source, embedder, table)
    path = Path(source)
    if table is None:
        if path.suffix.lower() == ".pkl":
            left_out.notes.append(deepface.NOTE)
            yield records(source, deepface.read_pickle(path), dim, left_out)
        else:
            yield records(source, files.read_file(path), dim, left_out)
        return
    opened: contextlib.AbstractContextManager[Tables] = (
        server_tables(source)
        if is_postgres(source)
        else contextlib.nullcontext(dump.dump_tables(path))
    )
    with opened as tables:
        faces = read_tables(tables, table, embedder, left_out)
        yield records(tables.label, faces, dim, left_out)
