"""Search inside PostgreSQL: pgvector's HNSW over halfvec, similarities exact."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from faceprint._optional import require
from faceprint.recognition.gallery.sql.postgres_connection import postgres_errors
from faceprint.recognition.gallery.sql.rows import TEMPLATE, TemplateColumns, parse_row
from faceprint.recognition.gallery.sql.store import Authenticate
from faceprint.recognition.gallery.vectors import unpack
from faceprint.recognition.index.base import Hits, Keys
from faceprint.types import Array

__all__ = ["PgvectorIndex", "PostgresOwners"]

_RERANK = 16
_MIN_EF = 100
_MAX_EF = 1000
"""pgvector's limit; beyond it the scan goes on (hnsw.iterative_scan)."""
_COLUMNS = ", ".join(TEMPLATE)

Borrow = Callable[[], AbstractContextManager[Any]]
"""Lends a connection for as long as a query takes."""


class PgvectorIndex:
    """The templates of a gallery in the clear, by their column `near`; the table is the index."""

    approximate = True

    def __init__(
        self, borrow: Borrow, location: str, dim: int, count: int, authenticate: Authenticate
    ) -> None:
        self._borrow, self._location, self._authenticate = borrow, location, authenticate
        self._dim, self._count = dim, count

    def __len__(self) -> int:
        return self._count

    def add(self, keys: Keys, vectors: Array) -> None:
        """Nothing to do: a stored template is in the index."""

    def remove(self, keys: Keys) -> None:
        """Nothing to do: a deleted template is no longer in the index."""

    def search(self, probes: Array, k: int) -> Hits:
        """Candidates from the graph, then exact similarities; one round trip per batch."""
        k = min(k, self._count)
        if k <= 0 or not len(probes):
            return Hits.empty(len(probes), max(k, 0))
        wide = max(k, _RERANK)
        half = require("pgvector", extra="postgres").HalfVector
        width = str(min(max(_MIN_EF, 2 * wide), _MAX_EF))
        with (
            postgres_errors(self._location),
            self._borrow() as connection,
            connection.transaction(),
        ):
            connection.execute(
                "SELECT set_config('hnsw.ef_search', %s, true), "
                "set_config('hnsw.iterative_scan', 'relaxed_order', true)",
                (width,),
            )
            with connection.pipeline():
                cursors = [
                    connection.execute(
                        f"SELECT {_COLUMNS} FROM templates ORDER BY near <#> %s LIMIT %s",
                        (half(probe.astype(np.float16)), wide),
                    )
                    for probe in probes
                ]
                found = [cursor.fetchall() for cursor in cursors]
        hits = Hits.empty(len(probes), k)
        for place, rows in enumerate(found):
            if rows:
                keys, scores = self._exact(probes[place], rows)
                hits.keys[place, : len(keys[:k])] = keys[:k]
                hits.similarities[place, : len(keys[:k])] = scores[:k]
        return hits

    def _exact(self, probe: Array, rows: list[Any]) -> tuple[Keys, Array]:
        keys, vectors = self._checked(rows)
        scores = vectors @ probe
        order = np.lexsort((keys, -scores))
        return keys[order], scores[order]

    def _checked(self, rows: list[Any]) -> tuple[Keys, Array]:
        found = [parse_row(TemplateColumns, row, self._location) for row in rows]
        found = list(self._authenticate(found))
        vectors = unpack([row.vector for row in found], self._dim, self._location)
        return np.asarray([row.key for row in found], np.int64), vectors

    def vectors(self, keys: Keys) -> Array:
        """Exact vectors."""
        wanted = [int(key) for key in np.unique(keys)]
        sql = f"SELECT {_COLUMNS} FROM templates WHERE key = ANY(%s) ORDER BY key"
        with postgres_errors(self._location), self._borrow() as connection:
            rows = connection.execute(sql, (wanted,)).fetchall()
        known, exact = self._checked(rows)
        return exact[np.searchsorted(known, keys)]


class PostgresOwners:
    """Asks the server whose the templates are."""

    def __init__(self, borrow: Borrow, location: str) -> None:
        self._borrow, self._location = borrow, location

    def _pairs(self, column: str, values: Keys) -> list[tuple[int, int]]:
        sql = f"SELECT key, subject_key FROM templates WHERE {column} = ANY(%s) ORDER BY key"
        with postgres_errors(self._location), self._borrow() as connection:
            rows: list[tuple[int, int]] = connection.execute(sql, (values.tolist(),)).fetchall()
            return rows

    def of(self, templates: Keys) -> Keys:
        """(n,) subject keys, -1 for templates that are gone."""
        owner = dict(self._pairs("key", templates))
        return np.asarray([owner.get(int(key), -1) for key in templates], np.int64)

    def members(self, subjects: Keys) -> list[Keys]:
        """The template keys of each subject."""
        held: dict[int, list[int]] = {int(subject): [] for subject in subjects}
        for key, subject in self._pairs("subject_key", subjects):
            held[subject].append(key)
        return [np.asarray(held[int(subject)], np.int64) for subject in subjects]
