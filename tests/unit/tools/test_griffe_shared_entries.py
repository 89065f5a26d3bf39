"""Entries of docstrings that describe several parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[3] / "tools"

BEFORE = """Compare a, b: no entry.

Args:
    low, high: an interval
        of two lines.
    one: alone.

Raises:
    OneError, OtherError: stays.
"""
AFTER = """Compare a, b: no entry.

Args:
    low: an interval
        of two lines.
    high: an interval
        of two lines.
    one: alone.

Raises:
    OneError, OtherError: stays.
"""


def test_entries_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("griffe")
    monkeypatch.syspath_prepend(str(TOOLS))
    from griffe_shared_entries import split_entries

    assert split_entries(BEFORE) == AFTER.rstrip("\n")
    assert split_entries(AFTER) == AFTER.rstrip("\n")
