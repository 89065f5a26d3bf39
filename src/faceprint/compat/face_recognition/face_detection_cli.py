"""The command `face_detection`: `python -m faceprint.compat.face_detection IMAGES`."""

from __future__ import annotations

from typing import Annotated

import typer

from faceprint.compat.face_recognition import api
from faceprint.compat.face_recognition.photos import for_each, photographs

__all__ = ["main"]


def face_detection(
    images: Annotated[list[str], typer.Argument(help="Photographs, or folders of them.")],
    cpus: Annotated[
        int, typer.Option(help="Accepted; FACEPRINT_THREADS sets the number of cores.")
    ] = 1,
    model: Annotated[str, typer.Option(help='"hog" or "cnn".')] = "hog",
) -> None:
    """Print a line FILE,TOP,RIGHT,BOTTOM,LEFT for each face."""

    def show(path: str) -> None:
        for box in api.face_locations(api.load_image_file(path), 0, model):
            typer.echo(",".join(map(str, (path, *box))))

    if not for_each((path for each in images for path in photographs(each)), show):
        raise typer.Exit(1)


_app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
_app.command()(face_detection)
main = typer.main.get_command(_app)
"""The command, as `face_recognition.face_detection_cli.main` is one."""
