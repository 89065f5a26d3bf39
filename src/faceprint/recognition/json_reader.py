"""Typed access to untrusted JSON."""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass
from pathlib import Path

from faceprint.errors import DatasetError

__all__ = ["JsonReader"]


@dataclass(frozen=True, slots=True)
class JsonReader:
    """Reads values of an expected type from JSON; an error names the key that has another type."""

    path: Path

    def _get(self, table: object, key: str, kind: type | tuple[type, ...], name: str) -> object:
        value = table.get(key) if isinstance(table, dict) else None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise DatasetError(f"{self.path}: {key} is {value!r:.40}, expected {name}")
        return value

    def text(self, table: object, key: str) -> str:
        return str(self._get(table, key, str, "text"))

    def table(self, table: object, key: str) -> dict[str, object]:
        value = self._get(table, key, dict, "a table")
        return dict(value) if isinstance(value, dict) else {}

    def _list(self, table: object, key: str) -> list[object]:
        value = self._get(table, key, list, "a list")
        return list(value) if isinstance(value, list) else []

    def texts(self, table: object, key: str) -> tuple[str, ...]:
        return tuple(str(item) for item in self._list(table, key))

    def rows(self, table: object, key: str) -> list[dict[str, object]]:
        items = self._list(table, key)
        rows = [item for item in items if isinstance(item, dict)]
        if len(rows) != len(items):
            raise DatasetError(f"{self.path}: {key} holds something other than tables")
        return rows

    def number(self, table: object, key: str, low: float, high: float) -> float:
        value = self._get(table, key, (int, float), "a number")
        return self._within(value, key, low, high)

    def numbers(self, table: object, key: str, low: float, high: float) -> tuple[float, ...]:
        return tuple(self._within(item, key, low, high) for item in self._list(table, key))

    def rising(
        self, table: object, key: str, low: float = -1.001, high: float = 1.001
    ) -> tuple[float, ...]:
        values = self.numbers(table, key, low, high)
        if any(a > b for a, b in itertools.pairwise(values)):
            raise DatasetError(f"{self.path}: {key} does not rise")
        return values

    def _within(self, value: object, key: str, low: float, high: float) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise DatasetError(f"{self.path}: {key} holds {value!r:.40}, expected numbers")
        if not low <= value <= min(high, sys.float_info.max):
            raise DatasetError(f"{self.path}: {key} is {value!s:.40}; it lies in {low:g}..{high:g}")
        return float(value)
