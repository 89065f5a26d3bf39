"""docs/cli.md: every command, read from the functions behind the commands.

Signatures and docstrings are read, not the help that click prints: that one changes with the width
of the terminal and with typer's version.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["cli_page"]

_HEAD = """\
# The command line

Written by `tools/make_docs.py` from the commands themselves; do not edit it by hand.

Results go to stdout, messages and progress to stderr. `--json` prints one JSON document, or JSON
lines where a command streams. Each command lists its keys. New keys may be added; names, keys and
exit codes do not change.

| exit code | meaning |
|---|---|
| 0 | done; for `verify`: a match |
| 1 | done, and the answer is no: no match, nobody found, a check that fell short |
| 2 | wrong usage |
| 3 | the input can't be used: unreadable, no face, too large |
| 4 | a model or an extra is missing |
| 5 | any other error, in one line on stderr; `--debug` adds the traceback and changes no code |

| environment | meaning |
|---|---|
| `FACEPRINT_HOME` | folder for cache and state (default: the platform's cache folder) |
| `FACEPRINT_MIRROR` | folder or URL that is searched first for model files, by name |
| `FACEPRINT_OFFLINE=1` | forbids the network |
| `FACEPRINT_ACCEPT_LICENSE=1` | accepts model licenses |
| `FACEPRINT_MAX_PIXELS` | most pixels to decode of one photograph (default: 89 million) |
| `FACEPRINT_PACK` | default of `--pack` |
| `FACEPRINT_RUNTIME` | default of `--runtime` |
| `FACEPRINT_DEVICE` | default of `--device` |
| `FACEPRINT_THREADS` | default of `--threads` |
| `FACEPRINT_PROCESSES` | default of `--processes` |
| `FACEPRINT_COMPAT_DETECTOR` | `dlib`: the drop-in uses its boxes ([migrating.md](migrating.md)) |
| `FACEPRINT_DLIB_LANDMARKS` | dlib's file for 68 landmarks ([migrating.md](migrating.md)) |
| `FACEPRINT_KEY_FILE` | the key of encrypted galleries |
"""


@dataclass(frozen=True, slots=True)
class _Parameter:
    """One argument or option of a command."""

    spelling: str
    help: str
    argument: bool


def cli_page() -> str:
    """The page."""
    import typer

    from faceprint.cli.app import _COMMANDS

    lines = [_HEAD]
    for name, (module, attribute) in _COMMANDS.items():
        target = getattr(importlib.import_module(module), attribute)
        if isinstance(target, typer.Typer):
            lines += _group(f"faceprint {name}", target, level=2)
        else:
            lines += _command(f"faceprint {name}", target, level=2)
    return "\n".join(lines).rstrip() + "\n"


def _group(title: str, group: Any, *, level: int) -> Iterator[str]:
    if group.registered_callback is not None:  # the group is a command itself
        yield from _command(title, group.registered_callback.callback, level=level)
    else:
        yield f"{'#' * level} {title}"
        yield ""
        yield from _prose(_text(group.info.help))
    for command in group.registered_commands:
        name = command.name or command.callback.__name__.replace("_", "-")
        if not command.hidden:
            yield from _command(f"{title} {name}", command.callback, level=level + 1)
    for inner in group.registered_groups:
        name = _text(inner.name) or _text(inner.typer_instance.info.name)
        yield from _group(f"{title} {name}", inner.typer_instance, level=level + 1)


def _command(title: str, function: Callable[..., Any], *, level: int) -> Iterator[str]:
    parameters = list(_parameters(function))
    words = [item.spelling for item in parameters if item.argument]
    words += ["[OPTIONS]"] if any(not item.argument for item in parameters) else []
    yield f"{'#' * level} {title}"
    yield ""
    yield f"    {' '.join([title, *words])}"
    yield ""
    yield from _prose(inspect.getdoc(function) or "")
    if parameters:
        yield "| | |"
        yield "|---|---|"
        for item in sorted(parameters, key=lambda item: not item.argument):
            spelling = item.spelling.replace("|", "\\|")
            yield f"| `{spelling}` | {_cell(item.help)} |"
        yield ""


def _parameters(function: Callable[..., Any]) -> Iterator[_Parameter]:
    from typer.models import ArgumentInfo, OptionInfo

    hints = typing.get_type_hints(function, include_extras=True)
    for name, item in inspect.signature(function).parameters.items():
        hint, default = hints[name], item.default
        marks = list(typing.get_args(hint)[1:]) if typing.get_origin(hint) is not None else []
        found = [mark for mark in marks if isinstance(mark, (ArgumentInfo, OptionInfo))]
        if isinstance(default, (ArgumentInfo, OptionInfo)):
            found, default = [default], default.default
        kind = typing.get_args(hint)[0] if marks and found else hint
        if not found or found[0].hidden:
            continue  # a context, or not for people
        mark = found[0]
        argument = isinstance(mark, ArgumentInfo)
        text = _help(mark.help or "", default)
        if argument:
            spelling = mark.metavar or name.upper()
            if item.default is not inspect.Parameter.empty and not spelling.startswith("["):
                spelling = f"[{spelling}]"
        else:
            spelling = _option(name, mark, kind)
        yield _Parameter(spelling, text, argument)


def _option(name: str, mark: Any, kind: Any) -> str:
    # In Annotated, what typer calls the default is the first spelling.
    given = [mark.default, *(mark.param_decls or ())]
    declared = [text for text in given if isinstance(text, str) and text.startswith("-")]
    flag = _plain(kind) is bool
    word = f"--{name.replace('_', '-')}"
    if not declared:
        declared = [word, f"--no-{word[2:]}"] if flag else [word]
    spelling = ", ".join(text.replace("/", ", ") for text in declared)
    return spelling if flag else f"{spelling} {mark.metavar or _kind(kind)}"


def _plain(kind: Any) -> Any:
    """The type behind `X | None`."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return next(part for part in typing.get_args(kind) if part is not type(None))
    return kind


def _kind(kind: Any) -> str:
    kind = _plain(kind)
    if typing.get_origin(kind) in (list, tuple):
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) is typing.Literal:
        return "|".join(map(str, typing.get_args(kind)))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "|".join(str(member.value) for member in kind)
    names: dict[Any, str] = {str: "TEXT", int: "N", float: "X", Path: "PATH"}
    return names.get(kind, "VALUE")


def _help(text: str, default: object) -> str:
    known = isinstance(default, (str, int, float)) and not isinstance(default, bool)
    return f"{text} [{default}]" if known and default != "" else text


def _text(value: object) -> str:
    """Typer keeps a placeholder object where nothing was given."""
    return value if isinstance(value, str) else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "\\<")


def _prose(text: str) -> Iterator[str]:
    """A docstring as Markdown; what --json prints is a paragraph of its own."""
    before = ""
    for line in inspect.cleandoc(text).split("\f")[0].splitlines():
        if line.startswith("JSON:") and before:
            yield ""
        yield line.replace("<", "\\<").replace("[]", "\\[\\]")
        before = line
    if before:
        yield ""
