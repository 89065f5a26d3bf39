"""Extension for the site's reference: docstring entries that describe several parameters at once.

The docstrings here have `fmr_low, fmr_high: 95 % interval.` where one sentence is for both. The
reference needs one entry for each parameter or attribute, to find its type and default.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

__all__ = ["SharedEntries", "split_entries"]

_SECTION = re.compile(r"^(?:Args|Attributes):$")
_ENTRY = re.compile(r"^( {4})(\w+(?:, \w+)+)(: .*)$")


def split_entries(docstring: str) -> str:
    """The docstring with `a, b: text` in its sections as an entry for `a` and one for `b`."""
    lines: list[str] = []
    names: list[str] = []
    entry: list[str] = []
    inside = False

    def finish() -> None:
        for name in names:
            lines.extend([f"    {name}{entry[0]}", *entry[1:]])
        names.clear()
        entry.clear()

    for line in docstring.splitlines():
        found = _ENTRY.match(line) if inside else None
        if found:
            finish()
            names.extend(found[2].split(", "))
            entry.append(found[3])
        elif names and line.startswith(" " * 8):
            entry.append(line)
        else:
            finish()
            if line and not line.startswith(" "):
                inside = _SECTION.match(line) is not None
            lines.append(line)
    finish()
    return "\n".join(lines)


class SharedEntries(griffe.Extension):
    """Applies `split_entries` to every docstring."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called by griffe for each object that it reads."""
        if obj.docstring:
            obj.docstring.value = split_entries(obj.docstring.value)
