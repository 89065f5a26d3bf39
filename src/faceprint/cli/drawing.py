"""Copies of photographs with their faces marked, for `--draw`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceprint.cli.output import note

if TYPE_CHECKING:
    from faceprint.types import Face

__all__ = ["Draw", "draw_faces"]

Draw = Annotated[
    Path | None,
    typer.Option(
        "--draw", metavar="DIR", help="Write a copy of each photograph with its faces marked."
    ),
]


def draw_faces(folder: Path, source: str, faces: Sequence[Face], labels: Sequence[str]) -> None:
    """Write `folder/NAME.png`, or `NAME-2.png` where that is there: nothing is overwritten.

    Args:
        labels: one for each face.
    """
    from faceprint.vision import draw, images

    folder.mkdir(parents=True, exist_ok=True)
    photograph = Path(source)
    target = folder / f"{photograph.stem}.png"
    counter = 1
    while target.exists():
        counter += 1
        target = folder / f"{photograph.stem}-{counter}.png"
    draw.save_png(draw.draw_faces(images.decode(photograph), faces, labels=labels), target)
    note(f"drawn: {target}")
