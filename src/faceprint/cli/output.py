"""How commands speak: results on stdout, for people or as JSON; everything else on stderr."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import typer

__all__ = ["counted", "note", "print_json", "print_table"]

_PIPE_WIDTH = 1000
"""Columns of a table that goes to a pipe: nothing is folded there."""


def print_json(document: Any, *, stream: bool = False) -> None:
    """Print one JSON document, or one line of JSON lines.

    Args:
        document: plain data; NaN and infinity are refused, since JSON has neither.
        stream: one compact line, flushed, so that a reader sees it at once.
    """
    if stream:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        print(text, flush=True)  # noqa: T201 - typer.echo does not flush a pipe
    else:
        typer.echo(json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2))


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun, as `1 face` and `2,000 faces`."""
    return f"{number:,} {one if number == 1 else many}"


def note(message: str) -> None:
    """A message for people, on stderr."""
    typer.echo(message, err=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table for people on stdout; cells are never cut, also where stdout is a pipe."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        last = index == len(columns) - 1
        table.add_column(column, no_wrap=not last, overflow="fold")
    for row in rows:
        # Text, not str: what a card says is never markup.
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PIPE_WIDTH)
    console.print(table)
