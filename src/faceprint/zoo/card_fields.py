"""Typed access to a parsed TOML table: every refusal names the card's file and the key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from faceprint.errors import CardError

__all__ = ["Fields", "check_file_name", "check_sha256"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Fields:
    """One table of a card; each key is taken once, and `done` refuses what is left over."""

    def __init__(self, table: object, where: str, prefix: str = "") -> None:
        self.where, self.prefix = where, prefix
        if not isinstance(table, dict):
            raise CardError(f"{where}: {prefix.rstrip('.') or 'the card'} must be a table")
        self._left: dict[str, Any] = dict(table)

    def fail(self, key: str, problem: str) -> CardError:
        """The error to raise about a key."""
        return CardError(f"{self.where}: {self.prefix}{key} {problem}")

    def done(self) -> None:
        """Refuse unknown keys: a misspelt one would otherwise be a silent default."""
        if self._left:
            names = ", ".join(self.prefix + key for key in sorted(self._left))
            raise CardError(f"{self.where}: unknown key {names}")

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def text(self, key: str, default: str | None = None) -> str:
        """A string; required without a default, and then not empty."""
        value = self._take(key, default)
        if not isinstance(value, str):
            raise self.fail(key, f"must be a string, is {_kind(value)}")
        if default is None and not value.strip():
            raise self.fail(key, "is empty")
        return value

    def choice(self, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        """One of the allowed words."""
        value = self.text(key, default)
        if value not in allowed:
            raise self.fail(key, f"is {value!r}; it must be one of {', '.join(allowed)}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """A boolean."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self.fail(key, f"must be true or false, is {_kind(value)}")
        return value

    def whole(self, key: str, most: int | None = None) -> int | None:
        """A positive whole number up to `most`, or None where the key is absent."""
        value = self._left.pop(key, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.fail(key, f"must be a positive whole number, is {value!r}")
        if most is not None and value > most:
            raise self.fail(key, f"is {value:,}; {most:,} is the most")
        return value

    def number(self, key: str) -> float:
        """A finite number."""
        return self._number(key, self._take(key, None))

    def optional_number(self, key: str) -> float | None:
        """A finite number, or None where the key is absent."""
        return self.number(key) if key in self._left else None

    def numbers(self, key: str) -> tuple[float, ...]:
        """A list of finite numbers; empty where the key is absent."""
        value = self._left.pop(key, [])
        if not isinstance(value, list):
            raise self.fail(key, f"must be a list of numbers, is {_kind(value)}")
        return tuple(self._number(key, item) for item in value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; empty where the key is absent."""
        value = self._left.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.fail(key, "must be a list of strings")
        return tuple(value)

    def pairs(self, key: str) -> tuple[tuple[float, float], ...]:
        """A list of [x, y]; empty where the key is absent."""
        value = self._left.pop(key, [])
        if not isinstance(value, list) or not all(
            isinstance(item, list) and len(item) == 2 for item in value
        ):
            raise self.fail(key, "must be a list of [x, y]")
        return tuple((self._number(key, x), self._number(key, y)) for x, y in value)

    def numbers_by_name(self, key: str) -> dict[str, float]:
        """A table of finite numbers; empty where the key is absent."""
        value = self._left.pop(key, {})
        if not isinstance(value, dict):
            raise self.fail(key, f"must be a table, is {_kind(value)}")
        return {name: self._number(f"{key}.{name}", item) for name, item in value.items()}

    def table(self, key: str) -> Fields | None:
        """A table inside, or None where the key is absent."""
        if key not in self._left:
            return None
        return Fields(self._left.pop(key), self.where, f"{self.prefix}{key}.")

    def tables(self, key: str) -> list[Fields]:
        """A list of tables; empty where the key is absent."""
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
    """A bare file name: letters, digits, dot, dash, plus, underscore; nothing that leads elsewhere.

    Raises:
        CardError: anything else.
    """
    if not _NAME.fullmatch(name) or ".." in name or name.endswith("."):
        raise fields.fail(
            key,
            f"is {name!r}; a file name holds letters, digits, '.', '_', '+' and '-' alone, "
            "starts with a letter or digit and has no path",
        )
    return name


def check_sha256(fields: Fields, key: str = "sha256") -> str | None:
    """64 lower-case hex digits, or None where the key is absent or empty (an unpinned file).

    Raises:
        CardError: anything else.
    """
    if key not in fields:
        return None
    value = fields.text(key, "")
    if not value:
        return None
    if not _SHA256.fullmatch(value):
        raise fields.fail(key, f"is {value!r}, not 64 lower-case hexadecimal digits")
    return value


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
