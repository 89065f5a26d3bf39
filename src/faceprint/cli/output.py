"""Printing: results go to stdout, as text or JSON; everything else goes to stderr.

Colors and drawn tables are for terminals; a pipe gets plain lines in columns. NO_COLOR
(https://no-color.org) turns colors off.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import typer

from faceprint._text import json_text, shown

if TYPE_CHECKING:
    from faceprint.vision.search_report import SearchReport

__all__ = ["note", "print_json", "print_table", "say", "search_notes"]

_ERROR = "faceprint:"
"""What the message of an error begins with."""

_LAST_COLUMN = 20
"""Smallest readable width of a table's last column."""

_JSON = {True: (",", ":"), False: (",", ": ")}


def print_json(document: Any, *, stream: bool = False) -> None:
    """Print one JSON document, or one line of JSON lines.

    Args:
        document: plain data; NaN and infinity are refused, since JSON has neither.
        stream: print one compact line and flush it.
    """
    text = json_text(document, indent=None if stream else 2, separators=_JSON[stream])
    print(text, flush=stream)  # noqa: T201 - typer.echo does not flush a pipe


def note(message: str, *, lines: bool = False) -> None:
    """Print a message on stderr; control characters are escaped.

    Args:
        lines: the message may have several lines, and holds no name that a stranger chose.
    """
    text = shown(message, lines=lines)
    if text.startswith(_ERROR):
        text = _colored(_ERROR, "red", sys.stderr) + text.removeprefix(_ERROR)
    typer.echo(text, err=True)


def search_notes(report: SearchReport) -> None:
    """Print what a search for photographs skipped and could not read."""
    for line in report.messages():
        note(f"faceprint: {line}")


def say(message: str, *, lines: bool = False, color: str | None = None) -> None:
    """Print a line of the result on stdout; otherwise like `note`.

    Args:
        color: of the line on a terminal, such as `green`.
    """
    typer.echo(_colored(shown(message, lines=lines), color, sys.stdout))


def _colored(text: str, color: str | None, stream: TextIO) -> str:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain or color is None or not stream.isatty() else typer.style(text, fg=color)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on stdout; cells are never cut.

    Where stdout is no terminal, each row is a line below the line of the columns' names, however
    long; columns are two blanks apart.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    cells = [["" if cell is None else shown(str(cell)) for cell in row] for row in rows]
    if not console.is_terminal:
        for line in _in_columns([[shown(name) for name in columns], *cells]):
            typer.echo(line)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    fits = _width(columns[:-1], cells) + _LAST_COLUMN <= console.width
    for index, column in enumerate(columns):
        last = index == len(columns) - 1
        # Wrap every column when they don't fit side by side: rich would drop some of them.
        table.add_column(shown(column), no_wrap=fits and not last, overflow="fold")
    for row in cells:
        # Text, not str: a card's text is never markup.
        table.add_row(*map(Text, row))
    console.print(table)


def _in_columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows as lines with aligned columns; without a row of empty cells."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = [
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ]
        if line := "  ".join(padded).rstrip():
            yield line


def _width(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """The width of these columns without wrapping, with the space between them."""
    from rich.cells import cell_len

    return sum(
        max(cell_len(text) for text in (column, *(row[index] for row in rows))) + 2
        for index, column in enumerate(columns)
    )
