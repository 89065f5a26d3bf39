"""Text from strangers on its way out: file names, subjects' names and cards' titles.

A file name on Linux is bytes. Python gives bytes that are not UTF-8 as lone surrogates, which no
encoder, database or table accepts. And a name may hold control characters, which a terminal obeys.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

from faceprint.errors import UsageError

__all__ = ["check_text", "decoded", "json_text", "printable", "shown"]

_SURROGATES = re.compile("[\ud800-\udfff]")
# C0, DEL and C1 controls; marks that change the direction of writing; separators of lines.
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_RAW_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def printable(text: str) -> str:
    """Text that every format can hold: a byte of a file name that is not UTF-8 becomes `\\xNN`."""
    return _SURROGATES.sub(_escape, text)


def shown(text: str, *, lines: bool = False) -> str:
    """Text that a terminal shows and does not obey: control characters are escaped.

    Args:
        lines: keep line feeds and tabs, for messages of several lines.
    """

    def replaced(match: re.Match[str]) -> str:
        return match[0] if lines and match[0] in "\n\t" else _escape(match)

    return _CONTROLS.sub(replaced, text)


def json_text(
    document: Any, *, indent: int | None = None, separators: tuple[str, str] | None = None
) -> str:
    """A JSON document as text in UTF-8; names that are not UTF-8 as `printable` has them.

    Control characters are escaped as JSON escapes them, those above ASCII too.

    Raises:
        ValueError: NaN or infinity, which JSON does not have.
    """
    text = json.dumps(
        document, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators
    )

    def replaced(match: re.Match[str]) -> str:
        character = match[0]
        if "\ud800" <= character <= "\udfff":
            return "\\" + _escape(match)  # a backslash is written twice in JSON
        return f"\\u{ord(character):04x}"

    return _RAW_IN_JSON.sub(replaced, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0] in _SHORT:
        return _SHORT[match[0]]
    if 0xDC80 <= code <= 0xDCFF:  # the byte that Python hides behind it
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
    """Refuse text that no file can hold.

    Raises:
        UsageError: half of a surrogate pair, which UTF-8 does not have.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{what} holds {text[error.start]!r}, which is no character") from error
    return text
