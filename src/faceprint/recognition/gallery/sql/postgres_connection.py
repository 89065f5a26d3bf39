"""Addresses, pooled connections and errors of PostgreSQL."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from faceprint._optional import require
from faceprint.errors import GalleryCorruptError, GalleryError, UsageError

__all__ = ["Address", "connect", "make_pool", "parse_address", "postgres_errors"]

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_SECRET = ("password", "sslpassword", "oauth_client_secret")
_LOCK_MS = 30_000
_CONNECT_S = 10.0
_MAX_CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Address:
    """Where a gallery is.

    Attributes:
        conninfo: for the driver: what the user gave, without the schema.
        schema: of the gallery.
        shown: host, database and schema; nothing else.
        secrets: texts that no message may contain.
    """

    conninfo: str = field(repr=False)
    schema: str
    shown: str
    secrets: tuple[str, ...] = field(default=(), repr=False)


def parse_address(location: str) -> Address:
    """Parse `postgresql://...?schema=NAME` as libpq does; the default schema is `faceprint`.

    Raises:
        UsageError: libpq can't read the address, or the schema's name is not made of lower-case
            letters, digits and underscores. The message never contains the address.
    """
    scheme, _, rest = location.partition("://")
    # For libpq the user's part ends at the first @ before any slash: a password may contain ?.
    user, at, place = rest.partition("@")
    if "/" in user:
        user, at, place = "", "", rest
    place, _, query = place.partition("?")
    parameters = [part.partition("=") for part in query.split("&") if part]
    schema = next((unquote(v) for name, _, v in reversed(parameters) if name == "schema"), None)
    schema = "faceprint" if schema is None else schema
    if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
        raise UsageError(
            f"schema {schema!r}: a name has lower-case letters, digits and underscores, and does "
            "not begin with pg_"
        )
    kept = "&".join("".join(part) for part in parameters if part[0] != "schema")
    conninfo = f"{scheme.lower()}://{user}{at}{place}" + (f"?{kept}" if kept else "")
    parts = _parse(conninfo)
    shown = f"postgresql://{parts['host']}"
    shown += f":{parts['port']}" if parts["port"] else ""
    secrets = tuple(parts[name] for name in _SECRET if parts.get(name))
    return Address(conninfo, schema, f"{shown}/{parts['dbname']}?schema={schema}", secrets)


def _parse(conninfo: str) -> dict[str, str]:
    """The parts as libpq reads them, checked for plausibility."""
    module = require("psycopg.conninfo", extra="postgres")
    errors = require("psycopg.errors", extra="postgres")
    try:
        parsed = module.conninfo_to_dict(conninfo)
    except errors.Error:
        parsed = None
    parts = {} if parsed is None else {name: str(value) for name, value in parsed.items()}
    parts |= {name: parts.get(name, "") for name in ("host", "port", "dbname")}
    # A slash in the password makes libpq read the user as the host, the password as the port.
    if (
        parsed is None
        or re.search(r"[^0-9,]", parts["port"])
        or "@" in parts["dbname"] + parts["host"]
    ):
        # Without the driver's message, which repeats parts of the address.
        raise UsageError(
            "the address of the database can't be read. In a user's name or password write "
            "%2F for /, %3A for :, %40 for @, %23 for #, %3F for ? and %25 for %"
        )
    return parts


@contextlib.contextmanager
def postgres_errors(location: str, secrets: Sequence[str] = ()) -> Iterator[None]:
    """Raise psycopg's errors as ours, which say what to do; no message holds a secret."""
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
        text = str(error).strip()
        for secret in secrets:
            text = text.replace(secret, "***")
        raise GalleryError(f"{location}: {text}") from (None if secrets else error)


def connect(address: Address) -> Any:
    """A single connection in autocommit mode."""
    psycopg = require("psycopg", extra="postgres")
    with postgres_errors(address.shown, address.secrets):
        connection = psycopg.connect(address.conninfo, autocommit=True, connect_timeout=10)
    try:
        with postgres_errors(address.shown):
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
        max_size=_MAX_CONNECTIONS,
        kwargs={"autocommit": True, "connect_timeout": 10},
        configure=configure,
        check=pools.ConnectionPool.check_connection,
        timeout=_LOCK_MS / 1000,
        open=False,
    )
    try:
        with postgres_errors(address.shown, address.secrets):
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
    # A commit that returned is durable, whatever the server's default; stricter settings stay.
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) "
        "WHERE current_setting('synchronous_commit') = 'off'"
    )
