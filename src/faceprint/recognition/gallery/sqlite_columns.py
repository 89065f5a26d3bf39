"""What the embedded store selects, and lists of values in its statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from faceprint.recognition.gallery.vectors import MAX_DIM

__all__ = ["COUNT", "chunks", "columns", "marks"]

_CHUNK = 400
_LONGEST_VECTOR = 4 * MAX_DIM + 64
# Cut in SQL, so that no page of rows takes gigabytes, whatever a stranger stored; a vector that was
# cut has a wrong length, which is found when it is opened.
_VECTOR = (
    f"CASE WHEN length(vector) > {_LONGEST_VECTOR:d} THEN substr(vector, 1, {_LONGEST_VECTOR:d}) "
    "ELSE vector END"
)
COUNT = "(SELECT count(*) FROM templates WHERE subject_key = subjects.key)"


def columns(names: str, version: int) -> str:
    """The columns to select; those that an older schema has not are empty."""
    chosen = []
    for name in names.split(", "):
        missing = version < 2 and name in ("digest", "tag", "crop_tag")
        chosen.append("x''" if missing else _VECTOR if name == "vector" else name)
    return ", ".join(chosen)


def marks(values: Sequence[Any]) -> str:
    """A question mark each."""
    return ", ".join("?" * len(values))


def chunks(values: Sequence[Any]) -> Iterator[list[Any]]:
    """As many at a time as one statement takes."""
    items = list(values)
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]
