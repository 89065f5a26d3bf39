"""Addresses, pooled connections and errors of PostgreSQL."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from faceprint._optional import require
from faceprint.errors import GalleryCorruptError, GalleryError, UsageError

__all__ = ["Address", "connect", "make_pool", "parse_address", "plain_errors"]

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_LOCK_MS = 30_000
_CONNECT_S = 10.0
_MOST_CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Address:
    """`conninfo` for the driver, the gallery's schema, and a `shown` form without a password."""

    conninfo: str
    schema: str
    shown: str


def parse_address(location: str) -> Address:
    """Take `postgresql://...?schema=NAME` apart; the schema is `faceprint` when none is named.

    Raises:
        UsageError: a schema's name that is not lower-case letters, digits and underscores.
    """
    parts = urlsplit(location)
    query = parse_qsl(parts.query, keep_blank_values=True)
    schema = dict(query).get("schema", "faceprint")
    if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
        raise UsageError(
            f"schema {schema!r}: a name takes lower-case letters, digits and underscores, and does "
            "not begin with pg_"
        )
    rest = [(name, value) for name, value in query if name != "schema"]
    conninfo = urlunsplit(parts._replace(query=urlencode(rest)))
    user, at, host = parts.netloc.rpartition("@")
    shown_query = [(name, value) for name, value in query if name != "password"]
    shown = parts._replace(
        netloc=user.partition(":")[0] + at + host, query=urlencode(shown_query, safe="/")
    )
    return Address(conninfo, schema, urlunsplit(shown))


@contextlib.contextmanager
def plain_errors(location: str) -> Iterator[None]:
    """psycopg's errors as ours, each saying what to do."""
    errors = require("psycopg.errors", extra="postgres")
    try:
        yield
    except errors.LockNotAvailable as error:
        text = "another client has been writing for 30 s; try again when it is done"
        raise GalleryError(f"{location}: {text}") from error
    except (errors.DiskFull, errors.OutOfMemory) as error:
        text = f"the server could not store it ({error}); nothing of this step was stored"
        raise GalleryError(f"{location}: {text}") from error
    except (errors.IntegrityError, errors.DataError, errors.DataCorrupted) as error:
        text = f"the server refuses a row as damaged or out of order ({error})"
        raise GalleryCorruptError(f"{location}: {text}") from error
    except (errors.UndefinedTable, errors.UndefinedColumn) as error:
        raise GalleryCorruptError(
            f"{location}: the schema is not a gallery's ({error}); restore a backup"
        ) from error
    except errors.Error as error:
        raise GalleryError(f"{location}: {str(error).strip()}") from error


def connect(address: Address) -> Any:
    """A connection of its own, in autocommit."""
    psycopg = require("psycopg", extra="postgres")
    with plain_errors(address.shown):
        connection = psycopg.connect(address.conninfo, autocommit=True, connect_timeout=10)
    try:
        with plain_errors(address.shown):
            _session(connection, address.schema)
    except BaseException:
        connection.close()
        raise
    return connection


def make_pool(address: Address) -> Any:
    """An open pool whose connections find the schema's tables and pgvector's types."""
    pools = require("psycopg_pool", extra="postgres")
    vectors = require("pgvector.psycopg", extra="postgres")

    def configure(connection: Any) -> None:
        _session(connection, address.schema)
        vectors.register_vector(connection)

    pool = pools.ConnectionPool(
        address.conninfo,
        min_size=1,
        max_size=_MOST_CONNECTIONS,
        kwargs={"autocommit": True, "connect_timeout": 10},
        configure=configure,
        check=pools.ConnectionPool.check_connection,
        timeout=_LOCK_MS / 1000,
        open=False,
    )
    try:
        with plain_errors(address.shown):
            pool.open(wait=True, timeout=_CONNECT_S)
    except BaseException:
        pool.close()
        raise
    return pool


def _session(connection: Any, schema: str) -> None:
    settings = [
        # `schema` was checked to need no quotes; pgvector lives in public.
        ("search_path", f"{schema}, public"),
        ("lock_timeout", f"{_LOCK_MS:d}ms"),
    ]
    for name, value in settings:
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    # Acknowledged means durable, whatever the server's default is; stricter settings stay.
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) "
        "WHERE current_setting('synchronous_commit') = 'off'"
    )
