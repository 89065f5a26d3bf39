"""What the public functions and classes of faceprint take and return."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import sys
import types
import typing
from collections.abc import Iterator
from typing import Any

import faceprint

FACTORIES = {
    "FaceAnalyzer": "load",
    "Gallery": "Gallery.open",
    "VectorEmbedder": "FaceAnalyzer.embedder",
}
"""Classes that users don't construct themselves, and what makes them."""


def surface() -> dict[type, set[str]]:
    """Every class of faceprint that the public surface names, with who names it."""
    found: dict[type, set[str]] = {}
    waiting = [getattr(faceprint, name) for name in faceprint.__all__ if name != "__version__"]
    seen: set[int] = set()
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        for where, hint in annotations(thing):
            for kind in classes(hint):
                found.setdefault(kind, set()).add(where)
                waiting.append(kind)
    return found


def annotations(thing: Any) -> Iterator[tuple[str, Any]]:
    """The annotations that a user of a public function or class meets."""
    if not inspect.isclass(thing):
        if callable(thing):
            yield from signature(thing, thing.__qualname__)
        return
    if dataclasses.is_dataclass(thing):
        for name, hint in hints(thing).items():
            if not name.startswith("_"):
                yield f"{thing.__name__}.{name}", hint
    for base in thing.__mro__:
        if not base.__module__.startswith("faceprint"):
            continue
        for name, member in vars(base).items():
            made = name == "__init__" and thing.__name__ not in FACTORIES
            if name.startswith("_") and not (made and not dataclasses.is_dataclass(base)):
                continue
            member = getattr(member, "fget", None) or getattr(member, "__func__", member)
            if inspect.isfunction(member):
                yield from signature(member, f"{thing.__name__}.{name}")


def signature(function: Any, name: str) -> Iterator[tuple[str, Any]]:
    for hint in hints(function).values():
        yield name, hint


def hints(thing: Any) -> dict[str, Any]:
    """Its annotations; names that only a type checker imports are looked up where they live."""
    module = sys.modules[thing.__module__]
    return typing.get_type_hints(thing, _loaded() | _type_checking(module) | vars(module))


def _loaded() -> dict[str, Any]:
    """What aliases written as text may name: the names of every module."""
    found: dict[str, Any] = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("faceprint."):
            found |= _type_checking(module) | vars(module)
    return found


@functools.cache
def _type_checking(module: types.ModuleType) -> dict[str, Any]:
    """The names that `if TYPE_CHECKING:` imports."""
    found = {}
    for statement in ast.parse(inspect.getsource(module)).body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            for line in statement.body:
                exec(ast.unparse(line), found)
    found.pop("__builtins__", None)
    return found


def classes(hint: Any) -> Iterator[type]:
    """The classes of faceprint in an annotation."""
    parts = typing.get_args(hint)
    for part in parts:
        if isinstance(part, list):
            for inner in part:
                yield from classes(inner)
        else:
            yield from classes(part)
    if inspect.isclass(hint) and not parts and hint.__module__.startswith("faceprint"):
        yield hint
