"""Where the faces are in tables of CompreFace, deepface or Immich, or in one that the user names.

The layouts are those of CompreFace 1.x (its Liquibase changelogs), deepface 0.0.103
(`modules/database/postgres.py`, `pgvector.py`), and Immich since June 2024 (`server/src/schema`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from faceprint.errors import ModelMismatchError, UsageError
from faceprint.recognition.gallery.foreign import deepface
from faceprint.recognition.gallery.foreign.faces import ForeignFace, LeftOut
from faceprint.recognition.gallery.foreign.tables import Tables, ask, numbers_in

__all__ = ["LAYOUTS", "SourceTable", "read_tables"]

_IMMICH_CARDS = {"buffalo_l": "w600k-r50", "buffalo_m": "w600k-r50", "buffalo_s": "w600k-mbf"}


@dataclass(frozen=True, slots=True)
class SourceTable:
    """Where the faces are in a database or its dump.

    Attributes:
        layout: the program that made the tables, one of `LAYOUTS`; empty for any other table.
        table: its name, with `schema.` in front where that is needed; for deepface `embeddings` if
            empty.
        name, embedding: columns: who it is; a vector, or an array of numbers.
        metadata: columns that become metadata of the subject, as text.
        calculator: CompreFace's name of the network, if the user has a card for it.
    """

    layout: str = ""
    table: str = ""
    name: str = ""
    embedding: str = ""
    metadata: tuple[str, ...] = ()
    calculator: str = ""

    def __post_init__(self) -> None:
        columns = (self.name, self.embedding, *self.metadata)
        if self.layout and self.layout not in LAYOUTS:
            raise UsageError(f"there is no layout {self.layout!r}; choose {', '.join(LAYOUTS)}")
        if self.layout and any(columns):
            raise UsageError(f"the layout {self.layout} says the columns; give one or the other")
        if self.table and self.layout not in ("", "deepface"):
            raise UsageError(f"the layout {self.layout} says the tables; give one or the other")
        if not self.layout and not (self.table and self.name and self.embedding):
            raise UsageError(
                "a database needs a layout, or the table and its columns: --layout NAME, or "
                "--table TABLE --name-column COLUMN --embedding-column COLUMN"
            )
        if self.calculator and self.layout != "compreface":
            raise UsageError("a calculator is CompreFace's: --layout compreface")


def read_tables(
    tables: Tables, source: SourceTable, embedder: str, left_out: LeftOut
) -> Iterator[ForeignFace]:
    """The faces in the tables of another program.

    Args:
        embedder: the card that the embeddings are said to belong to.
        left_out: receives what the user should know.

    Raises:
        DatasetError: the tables are not there, or another version's.
        ModelMismatchError: the database names another network than the card's.
    """
    return (LAYOUTS[source.layout] if source.layout else _columns)(
        tables, source, embedder, left_out
    )


def _columns(
    tables: Tables, source: SourceTable, _embedder: str, _left_out: LeftOut
) -> Iterator[ForeignFace]:
    wanted = (source.name, source.embedding, *source.metadata)
    for name, vector, *rest in ask(tables, source.table, wanted):
        held = dict(zip(source.metadata, rest, strict=True))
        metadata = {key: value for key, value in held.items() if value is not None}
        yield ForeignFace(_named(name), numbers_in(vector), tables.label, metadata)


def _named(name: str | None) -> str | None:
    return name if name and name.strip() else None


def _immich(
    tables: Tables, _source: SourceTable, embedder: str, left_out: LeftOut
) -> Iterator[ForeignFace]:
    _check_immich_model(tables, embedder, left_out)
    people = {key: _named(name) for key, name in ask(tables, "person", ("id", "name"))}
    for name, count in Counter(filter(None, people.values())).items():
        if count > 1:
            left_out.notes.append(f"{count} people of Immich are called {name}: one subject now")
    faces = "asset_face" if tables.columns("asset_face") else "asset_faces"
    columns = ["id", "personId"]
    # Both came with later versions.
    columns += [name for name in ("deletedAt", "isVisible") if name in tables.columns(faces)]
    whose: dict[str | None, str | None] = {}
    for face, person, *rest in ask(tables, faces, columns):
        state = dict(zip(columns[2:], rest, strict=True))
        if state.get("deletedAt") is None and state.get("isVisible") not in ("f", "false"):
            whose[face] = people.get(person)
    for face, vector in ask(tables, "face_search", ("faceId", "embedding")):
        if face in whose:
            yield ForeignFace(whose[face], numbers_in(vector), f"{tables.label}: face {face}")


def _check_immich_model(tables: Tables, embedder: str, left_out: LeftOut) -> None:
    model = _immich_model(tables)
    if model is None:
        left_out.notes.append(
            "the database does not name Immich's model; it is buffalo_l (w600k-r50) unless you "
            f"chose another, and {embedder} was taken as you said"
        )
        known = embedder in _IMMICH_CARDS.values()
    else:
        known = _IMMICH_CARDS.get(model) == embedder
    if not known:
        cards = ", ".join(f"{name} ({card})" for name, card in _IMMICH_CARDS.items())
        raise ModelMismatchError(
            f"{tables.label}: {embedder} is not the network of Immich's model "
            f"{model or 'buffalo_l, the usual one'}; models with a card here: {cards}. Set one of "
            "them in Immich and let it recognize all faces anew, or enroll the photographs"
        )


def _immich_model(tables: Tables) -> str | None:
    """The model in the settings that Immich keeps in its database; it keeps those that differ."""
    if not tables.columns("system_metadata"):
        return None
    found: Any = None
    for key, value in ask(tables, "system_metadata", ("key", "value")):
        if key == "system-config" and value:
            found = json.loads(value)
    for key in ("machineLearning", "facialRecognition", "modelName"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else None


def _compreface(
    tables: Tables, source: SourceTable, embedder: str, _left_out: LeftOut
) -> Iterator[ForeignFace]:
    found = Counter(name for (name,) in ask(tables, "embedding", ("calculator",)))
    if source.calculator not in found:
        made = ", ".join(f"{name} ({count:,})" for name, count in found.most_common())
        raise ModelMismatchError(
            f"{tables.label}: embeddings of {made or 'no calculator'}. No card here has a network "
            f"of CompreFace's, and {embedder} is another one. CompreFace keeps the photographs: "
            "enroll them again (docs/migrating.md, CompreFace). If you added a card for that very "
            "network, say so with --calculator NAME"
        )
    names = {key: _named(name) for key, name in ask(tables, "subject", ("id", "subject_name"))}
    wanted = ("id", "subject_id", "embedding", "calculator")
    for key, subject, vector, calculator in ask(tables, "embedding", wanted):
        if calculator == source.calculator:
            source_text = f"{tables.label}: embedding {key}"
            yield ForeignFace(names.get(subject), numbers_in(vector), source_text)


def _deepface(
    tables: Tables, source: SourceTable, embedder: str, left_out: LeftOut
) -> Iterator[ForeignFace]:
    table = source.table or "embeddings"
    models = {str(model) for (model,) in ask(tables, table, ("model_name",))}
    mine = {model for model in models if deepface.card_of(model) == embedder}
    if not mine:
        raise ModelMismatchError(
            f"{tables.label}: {table} has embeddings of {', '.join(sorted(models)) or 'no model'}. "
            f"{deepface.cards_in_words()}; enroll the photographs: faceprint enroll GALLERY --from "
            "FOLDER"
        )
    if others := sorted(models - mine):
        left_out.notes.append(f"embeddings of {', '.join(others)} were left out")
    left_out.notes.append(deepface.NOTE)
    rows = [
        (str(path), numbers_in(vector))
        for path, model, vector in ask(tables, table, ("img_name", "model_name", "embedding"))
        if model in mine
    ]
    yield from deepface.named_by_folder(tables.label, rows)


_Layout = Callable[[Tables, SourceTable, str, LeftOut], Iterator[ForeignFace]]
LAYOUTS: dict[str, _Layout] = {
    "compreface": _compreface,
    "deepface": _deepface,
    "immich": _immich,
}
"""The programs whose tables are known."""
