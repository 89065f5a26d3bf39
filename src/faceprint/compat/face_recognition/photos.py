"""What the two commands share: photographs of a folder, and errors as lines on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import typer

from faceprint.errors import FaceprintError, InputError

__all__ = ["for_each", "photographs"]

_SUFFIXES = {".jpg", ".jpeg", ".png"}


def photographs(path: str) -> list[str]:
    """The JPEG and PNG files of a folder by name, or the path itself."""
    folder = Path(path)
    if not folder.is_dir():
        return [path]
    return sorted(str(file) for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES)


def for_each(paths: Iterable[str], action: Callable[[str], None]) -> bool:
    """Do something with each photograph; those that can't be used are named on stderr.

    Returns:
        Whether all could be used.

    Raises:
        typer.Exit: with code 1, for wrong arguments or a model that can't be used.
    """
    sound = True
    for path in paths:
        try:
            action(path)
        except InputError as error:
            sound = False
            typer.echo(f"WARNING: {error}", err=True)
        except FaceprintError as error:
            typer.echo(f"ERROR: {error}", err=True)
            raise typer.Exit(1) from error
    return sound
