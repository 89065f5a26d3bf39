"""TOML files as dataclasses: unknown keys and values of another kind are refused."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
from pathlib import Path
from typing import Any, get_args, get_type_hints

from faceprint._files import read_bounded
from faceprint.errors import UsageError

__all__ = ["read_toml"]

_MOST_BYTES = 1 << 20


def read_toml(kind: type, path: Path) -> Any:
    """The file as an object of a dataclass, whose tables are dataclasses too.

    Paths in it are relative to its folder.

    Raises:
        UsageError: not readable, not TOML, an unknown or missing key, or a value of another kind;
            names the key.
    """
    try:
        table = tomllib.loads(read_bounded(path, _MOST_BYTES).decode("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{path}: not a TOML file ({error})") from error
    return _read(kind, table, str(path), "", path.absolute().parent)


def _read(kind: Any, table: Any, where: str, prefix: str, root: Path) -> Any:
    if not isinstance(table, dict):
        raise UsageError(f"{where}: {prefix.rstrip('.')} must be a table")
    hints = get_type_hints(kind)
    for key in table:
        if key not in hints:
            close = difflib.get_close_matches(key, hints, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(hints)}"
            raise UsageError(f"{where}: unknown key {prefix}{key}; {hint}")
    for item in dataclasses.fields(kind):
        required = item.default is item.default_factory is dataclasses.MISSING
        if required and item.name not in table:
            raise UsageError(f"{where}: {prefix}{item.name} is missing")
    return kind(
        **{
            key: _value(hints[key], value, where, f"{prefix}{key}", root)
            for key, value in table.items()
        }
    )


def _value(kind: Any, value: Any, where: str, key: str, root: Path) -> Any:
    if isinstance(kind, types.UnionType):
        kind = next(each for each in get_args(kind) if each is not type(None))
    if dataclasses.is_dataclass(kind):
        return _read(kind, value, where, f"{key}.", root)
    if get_args(kind):  # tuple[X, ...]
        if not isinstance(value, list):
            raise UsageError(f"{where}: {key} must be a list")
        return tuple(_value(get_args(kind)[0], each, where, key, root) for each in value)
    if kind is Path and isinstance(value, str) and value:
        return root / value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        names = {Path: "a path", str: "a string", int: "a whole number", float: "a number"}
        raise UsageError(f"{where}: {key} must be {names.get(kind, 'true or false')}")
    return value
