"""The command `face_recognition`: `python -m faceprint.compat.face_recognition KNOWN UNKNOWN`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from faceprint.compat.face_recognition import api
from faceprint.compat.face_recognition.photos import for_each, photographs

__all__ = ["main"]

_BOOLEANS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def face_recognition(
    known_people_folder: Annotated[str, typer.Argument(help="One photograph per person.")],
    image_to_check: Annotated[str, typer.Argument(help="A photograph, or a folder of them.")],
    cpus: Annotated[
        int, typer.Option(help="Accepted; FACEPRINT_THREADS sets the number of cores.")
    ] = 1,
    tolerance: Annotated[float, typer.Option(help="Largest distance of one person.")] = 0.6,
    show_distance: Annotated[str, typer.Option(help="true or false.")] = "false",
) -> None:
    """Print a line FILE,NAME for each known person that a face matches."""
    if show_distance.lower() not in _BOOLEANS:
        raise typer.BadParameter(f"--show-distance is {show_distance!r}, not true or false")
    with_distance = _BOOLEANS[show_distance.lower()]
    names: list[str] = []
    known: list[NDArray[np.float64]] = []

    def learn(path: str) -> None:
        found = api.face_encodings(api.load_image_file(path))
        if len(found) > 1:
            typer.echo(f"WARNING: several faces in {path}; the largest is used", err=True)
        if found:
            names.append(Path(path).stem)
            known.append(found[0])
        else:
            typer.echo(f"WARNING: no face in {path}; it is ignored", err=True)

    def show(path: str, name: str, distance: float | None = None) -> None:
        fields = (path, name, distance) if with_distance else (path, name)
        typer.echo(",".join(map(str, fields)))

    def check(path: str) -> None:
        found = api.face_encodings(api.load_image_file(path))
        for encoding in found:
            distances = [float(each) for each in api.face_distance(known, encoding)]
            matches = [each for each in zip(names, distances, strict=True) if each[1] <= tolerance]
            for name, distance in matches:
                show(path, name, distance)
            if not matches:
                show(path, "unknown_person")
        if not found:
            show(path, "no_persons_found")

    sound = for_each(photographs(known_people_folder), learn)
    if not for_each(photographs(image_to_check), check) or not sound:
        raise typer.Exit(1)


_app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
_app.command()(face_recognition)
main = typer.main.get_command(_app)
"""The command, as `face_recognition.face_recognition_cli.main` is one."""
