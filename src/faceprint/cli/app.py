"""The `faceprint` command. Each subcommand's module is imported when that command runs."""

from __future__ import annotations

import errno
import importlib
import io
import logging
import os
import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from faceprint import __version__
from faceprint._suggest import unknown_name
from faceprint.cli.exit_codes import DONE, USAGE, exit_code
from faceprint.cli.output import note
from faceprint.errors import FaceprintError, ModelError

__all__ = ["app", "main"]

# command -> (module, function or typer app)
_COMMANDS = {
    "demo": ("faceprint.cli.demo", "demo"),
    "verify": ("faceprint.cli.verify", "verify"),
    "detect": ("faceprint.cli.detect", "detect"),
    "embed": ("faceprint.cli.embed", "embed"),
    "enroll": ("faceprint.cli.enroll", "enroll"),
    "identify": ("faceprint.cli.identify", "identify"),
    "find": ("faceprint.cli.find", "find"),
    "gallery": ("faceprint.cli.gallery", "app"),
    "cluster": ("faceprint.cli.cluster", "cluster"),
    "video": ("faceprint.cli.video", "video"),
    "models": ("faceprint.cli.models", "app"),
    "evaluate": ("faceprint.cli.evaluate", "evaluate"),
    "calibrate": ("faceprint.cli.calibrate", "calibrate"),
    "train": ("faceprint.cli.train", "app"),
    "serve": ("faceprint.cli.serve", "app"),
    "cache": ("faceprint.cli.cache", "app"),
    "bench": ("faceprint.cli.bench", "bench"),
    "doctor": ("faceprint.cli.doctor", "doctor"),
}


class LazyGroup(TyperGroup):
    """Imports the module of one command only, so that `verify` starts fast."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the documentation."""
        return list(_COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the words name; refuses an unknown one with similar names."""
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            ctx.fail(unknown_name("command", args[0], _COMMANDS))
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, or None."""
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        target: Any = getattr(importlib.import_module(module), name)
        if isinstance(target, typer.Typer):
            group = typer.main.get_group(target)
            group.name = cmd_name
            for command in group.commands.values():
                _leave_reading_to_readers(command)
            return group
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name=cmd_name)(target)
        return _leave_reading_to_readers(typer.main.get_command(single))


def _leave_reading_to_readers(command: Any) -> Any:
    """Make a file without permission an input that can't be used (3), and not wrong usage (2)."""
    for parameter in command.params:
        if hasattr(parameter.type, "readable"):
            parameter.type.readable = False
    return command


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Face recognition on ONNX models: find faces, compare two, search a gallery.",
    epilog="Exit codes: 0 done or match; 1 the answer is no; 2 wrong usage; 3 unusable input; "
    "4 missing model or extra; 5 any other error.",
)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"faceprint {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    ctx: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    ctx.obj = {"debug": debug}


_FULL = (errno.ENOSPC, errno.EDQUOT)


def _describe(error: Exception) -> str:
    """The message of an unexpected error, or of a path that can't be used."""
    if isinstance(error, OSError) and error.errno in _FULL:
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        return f"{where}{error.strerror}; make room, and repeat the command"
    if isinstance(error, OSError) and isinstance(error.filename, str | bytes):
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return f"unexpected {type(error).__name__}: {error} (--debug shows where)"


class _WarningPrinter(logging.Handler):
    """Prints warnings like other messages where nobody configured logging."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one warning."""
        note(record.getMessage(), lines=True)


def _usage_text(error: TyperException) -> str:
    """The text that typer would print about wrong usage."""
    show = getattr(error, "show", None)
    if show is None:
        return f"faceprint: {error}"
    text = io.StringIO()
    show(file=text)
    return text.getvalue().rstrip("\n")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the documented code."""
    _open_closed_streams()
    given = sys.argv[1:] if arguments is None else arguments
    logging.lastResort = _WarningPrinter(logging.WARNING)
    # `--debug` may stand anywhere before `--`: people append it to a failed command.
    end = given.index("--") if "--" in given else len(given)
    debug = "--debug" in given[:end]
    words = [word for i, word in enumerate(given) if i >= end or word != "--debug"]
    try:
        code = app(words, prog_name="faceprint", standalone_mode=False)
        sys.stdout.flush()
    except typer.Abort:
        sys.exit(130)
    except TyperException as error:
        note(_usage_text(error), lines=True)
        sys.exit(USAGE)
    except BrokenPipeError:
        # The reader closed the pipe (`| head`). That is no error.
        _drop_answer()
        sys.exit(DONE)
    except KeyboardInterrupt:
        sys.exit(130)
    except FaceprintError as error:
        _show_traceback(debug)
        # Errors about models have several lines. Other messages may hold a stranger's file name.
        note(f"faceprint: {error}", lines=isinstance(error, ModelError))
        sys.exit(exit_code(error))
    except Exception as error:  # noqa: BLE001 - the outermost handler: one line, code 5
        _show_traceback(debug)
        note(f"faceprint: {_describe(error)}")
        if isinstance(error, OSError) and error.errno in _FULL:
            _drop_answer()
        sys.exit(exit_code(error))
    sys.exit(code if isinstance(code, int) else DONE)


def _open_closed_streams() -> None:
    """Open streams that were closed at the start (`2>&-`) on the null device.

    Otherwise the next file that is opened is the standard error that libraries write to.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def _drop_answer() -> None:
    """Drop what stdout did not take, so that the interpreter does not try again at its end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except io.UnsupportedOperation:  # not a file, in a test
        return


def _show_traceback(debug: bool) -> None:
    """Print the error being handled. Raising it would exit with 1, which means "no match"."""
    if debug:
        traceback.print_exc()
