"""Make text from strangers safe to store and print: names of files and subjects, card titles.

A file name on Linux is bytes. Python represents bytes that are not UTF-8 as lone surrogates, which
encoders, databases and tables refuse. A name may also hold control characters, which a terminal
obeys.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

from faceprint.errors import UsageError

__all__ = [
    "check_text",
    "counted",
    "decoded",
    "json_text",
    "printable",
    "shown",
    "spreadsheet_cell",
]

_SURROGATES = re.compile("[\ud800-\udfff]")
# C0, DEL and C1 controls; marks of writing direction; line separators.
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_RAW_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# What a spreadsheet takes for a formula; apostrophes before it, so that one can be taken off again.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun, such as `1 face` and `2,000 faces`."""
    return f"{number:,} {one if number == 1 else many}"


def printable(text: str) -> str:
    """Text that every format can store: a byte that is not UTF-8 becomes `\\xNN`."""
    return _SURROGATES.sub(_escape, text)


def shown(text: str, *, lines: bool = False) -> str:
    """Text with control characters escaped, so that a terminal does not obey them.

    Args:
        lines: keep line feeds and tabs, for messages of several lines.
    """

    def replaced(match: re.Match[str]) -> str:
        return match[0] if lines and match[0] in "\n\t" else _escape(match)

    return _CONTROLS.sub(replaced, text)


def json_text(
    document: Any, *, indent: int | None = None, separators: tuple[str, str] | None = None
) -> str:
    """A JSON document as text; bytes in names that are not UTF-8 are written as by `printable`.

    All control characters are escaped, including those above ASCII.

    Raises:
        ValueError: the document holds NaN or infinity, which JSON does not have.
    """
    text = json.dumps(
        document, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators
    )

    def replaced(match: re.Match[str]) -> str:
        character = match[0]
        if "\ud800" <= character <= "\udfff":
            return "\\" + _escape(match)  # JSON escapes the backslash
        return f"\\u{ord(character):04x}"

    return _RAW_IN_JSON.sub(replaced, text)


def spreadsheet_cell(text: str) -> str:
    """Text of a CSV cell that no spreadsheet calculates: one that begins so gets an apostrophe.

    Source: OWASP, CSV Injection. The text is what follows the apostrophe of a cell that begins with
    apostrophes and one of `= + - @`, their full-width forms, tab or a line end; all other cells are
    the text itself.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0] in _SHORT:
        return _SHORT[match[0]]
    if 0xDC80 <= code <= 0xDCFF:  # the byte that this surrogate stands for
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def decoded(data: bytes) -> str:
    """The text of a list that holds file names.

    UTF-8 with or without a byte-order mark, or UTF-16 with one, as Windows makes it. Names that
    are neither come out as Python has them.
    """
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "surrogateescape")


def check_text(text: str, what: str) -> str:
    """Return text that can be stored as UTF-8.

    Args:
        what: names the text in the message.

    Raises:
        UsageError: the text holds half of a surrogate pair.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{what} holds {text[error.start]!r}, which is no character") from error
    return text
