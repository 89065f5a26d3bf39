"""Typed access to a parsed TOML table; errors name the card's file and the key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from faceprint.errors import CardError

__all__ = ["Fields", "check_file_name", "check_sha256", "without_empty"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Fields:
    """One table of a card; each key is read once, and `done` refuses keys that nobody read."""

    def __init__(self, table: object, where: str, prefix: str = "") -> None:
        self.where, self.prefix = where, prefix
        if not isinstance(table, dict):
            raise CardError(f"{where}: {prefix.rstrip('.') or 'the card'} must be a table")
        self._left: dict[str, Any] = dict(table)

    def fail(self, key: str, problem: str) -> CardError:
        """Make the error about a key."""
        return CardError(f"{self.where}: {self.prefix}{key} {problem}")

    def done(self) -> None:
        """Refuse unknown keys: a misspelled one would silently be a default."""
        if self._left:
            names = ", ".join(self.prefix + key for key in sorted(self._left))
            raise CardError(f"{self.where}: unknown key {names}")

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def text(self, key: str, default: str | None = None) -> str:
        """Read a string; without a default it is required and not empty."""
        value = self._take(key, default)
        if not isinstance(value, str):
            raise self.fail(key, f"must be a string, is {_kind(value)}")
        if default is None and not value.strip():
            raise self.fail(key, "is empty")
        return value

    def choice(self, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        """Read one of the allowed words."""
        value = self.text(key, default)
        if value not in allowed:
            raise self.fail(key, f"is {value!r}; it must be one of {', '.join(allowed)}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Read a boolean."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self.fail(key, f"must be true or false, is {_kind(value)}")
        return value

    def whole(self, key: str, most: int | None = None) -> int | None:
        """Read a positive integer up to `most`; None where the key is absent."""
        value = self._left.pop(key, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.fail(key, f"must be a positive whole number, is {value!r}")
        if most is not None and value > most:
            raise self.fail(key, f"is {value:,}; {most:,} is the most")
        return value

    def number(self, key: str) -> float:
        """Read a finite number."""
        return self._number(key, self._take(key, None))

    def optional_number(self, key: str) -> float | None:
        """Read a finite number; None where the key is absent."""
        return self.number(key) if key in self._left else None

    def numbers(self, key: str) -> tuple[float, ...]:
        """Read a list of finite numbers; empty where the key is absent."""
        value = self._left.pop(key, [])
        if not isinstance(value, list):
            raise self.fail(key, f"must be a list of numbers, is {_kind(value)}")
        return tuple(self._number(key, item) for item in value)

    def texts(self, key: str) -> tuple[str, ...]:
        """Read a list of strings; empty where the key is absent."""
        value = self._left.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.fail(key, "must be a list of strings")
        return tuple(value)

    def pairs(self, key: str) -> tuple[tuple[float, float], ...]:
        """Read a list of [x, y]; empty where the key is absent."""
        value = self._left.pop(key, [])
        if not isinstance(value, list) or not all(
            isinstance(item, list) and len(item) == 2 for item in value
        ):
            raise self.fail(key, "must be a list of [x, y]")
        return tuple((self._number(key, x), self._number(key, y)) for x, y in value)

    def numbers_by_name(self, key: str) -> dict[str, float]:
        """Read a table of finite numbers; empty where the key is absent."""
        value = self._left.pop(key, {})
        if not isinstance(value, dict):
            raise self.fail(key, f"must be a table, is {_kind(value)}")
        return {name: self._number(f"{key}.{name}", item) for name, item in value.items()}

    def table(self, key: str) -> Fields | None:
        """Read an inner table; None where the key is absent."""
        if key not in self._left:
            return None
        return Fields(self._left.pop(key), self.where, f"{self.prefix}{key}.")

    def tables(self, key: str) -> list[Fields]:
        """Read a list of tables; empty where the key is absent."""
        value = self._left.pop(key, [])
        if not isinstance(value, list):
            raise self.fail(key, f"must be a list of tables ([[{key}]]), is {_kind(value)}")
        return [
            Fields(item, self.where, f"{self.prefix}{key}[{index}].")
            for index, item in enumerate(value)
        ]

    def _take(self, key: str, default: object) -> object:
        if key not in self._left and default is None:
            raise self.fail(key, "is missing")
        return self._left.pop(key, default)

    def _number(self, key: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fail(key, f"must be a number, is {_kind(value)}")
        if value != value or value in (float("inf"), float("-inf")):
            raise self.fail(key, "must be finite")
        return float(value)


def check_file_name(fields: Fields, key: str, name: str) -> str:
    """Return the name if it is a bare file name, without a path.

    Raises:
        CardError: it is not.
    """
    if not _NAME.fullmatch(name) or ".." in name or name.endswith("."):
        raise fields.fail(
            key,
            f"is {name!r}; a file name consists of letters, digits, '.', '_', '+' and '-', "
            "starts with a letter or digit and has no path",
        )
    return name


def check_sha256(fields: Fields, key: str = "sha256") -> str | None:
    """Read 64 lower-case hex digits; None where the key is absent or empty (an unpinned file).

    Raises:
        CardError: anything else.
    """
    value = fields.text(key, "")
    if value and not _SHA256.fullmatch(value):
        raise fields.fail(key, f"is {value!r}, not 64 lower-case hexadecimal digits")
    return value or None


def without_empty(item: object, keys: Iterable[str]) -> dict[str, object]:
    """Return attributes of an object as a table, without None and empty strings."""
    values = ((key, getattr(item, key)) for key in keys)
    return {key: value for key, value in values if value is not None and value != ""}


def _kind(value: object) -> str:
    names: Mapping[type, str] = {
        str: "a string",
        bool: "a boolean",
        int: "a whole number",
        float: "a number",
        list: "a list",
        dict: "a table",
    }
    return names.get(type(value), type(value).__name__)
