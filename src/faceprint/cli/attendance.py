"""`faceprint identify --attendance`: who of a gallery is in a set of photographs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faceprint._files import atomic_write
from faceprint._text import spreadsheet_cell
from faceprint.errors import UsageError

if TYPE_CHECKING:
    from faceprint.types import Identification

__all__ = ["Attendance"]

_COLUMNS = ("subject", "present", "photographs", "best_similarity", "first_source")


@dataclass(slots=True)
class _Record:
    sources: dict[str, None]
    best: float


class Attendance:
    """Collects who was recognized in which photographs."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    def add(self, source: str, answer: Identification) -> None:
        """Count the face of a photograph for its subject; a stranger counts for nobody."""
        if answer.subject is None:
            return
        similarity = answer.candidates[0].similarity
        record = self._records.setdefault(answer.subject, _Record({}, similarity))
        record.sources[source] = None
        record.best = max(record.best, similarity)

    def write(self, file: Path, subjects: Iterable[str]) -> tuple[int, int]:
        """Write a line for each subject, present or not; give how many were present, of how many.

        Names and photographs are written as `spreadsheet_cell` makes them.

        Raises:
            UsageError: the file can't be written.
        """
        text = io.StringIO(newline="")
        table = csv.writer(text)
        table.writerow(_COLUMNS)
        present = total = 0
        for name in subjects:
            record = self._records.get(name)
            cell = spreadsheet_cell(name)
            total += 1
            present += record is not None
            if record is None:
                table.writerow((cell, "no", 0, "", ""))
            else:
                first = spreadsheet_cell(next(iter(record.sources)))
                table.writerow((cell, "yes", len(record.sources), f"{record.best:.3f}", first))
        try:
            content = text.getvalue().encode("utf-8", "surrogateescape")
            atomic_write(file, content, private=True)
        except OSError as error:
            raise UsageError(f"{file} can't be written: {error.strerror}") from error
        return present, total
