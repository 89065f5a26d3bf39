"""`faceprint detect`: boxes and landmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faceprint.cli import options
from faceprint.cli.exit_codes import DONE, INPUT, NO
from faceprint.cli.output import note, print_json, say
from faceprint.types import AnalyzedImage

__all__ = ["detect"]


@options.with_model_options(*options.MODELS)
def detect(
    photographs: Annotated[list[Path], typer.Argument(metavar="IMG...", help="Photographs.")],
    draw: Annotated[
        Path | None,
        typer.Option("--draw", metavar="DIR", help="Write each photograph with its faces drawn."),
    ] = None,
    quality: Annotated[
        bool,
        typer.Option("--quality/--no-quality", help="Without it: where faces are, and no more."),
    ] = True,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Find the faces of photographs; a line each. Exit code 1: nobody was found in any.

    JSON lines: source, width, height, faces[]: box, score, landmarks, quality (null with
    --no-quality); error when the photograph can't be used (the others are still done, and the exit
    code is 3).
    """
    fp = models.load()
    total = failed = 0
    for result in fp.analyze_many(photographs, embed=False, quality=quality, batch_size=8):
        total += len(result.faces)
        failed += result.error is not None
        if result.error is not None:
            note(f"faceprint: {result.error}")
        elif draw is not None:
            _draw(draw, result)
        if as_json:
            print_json(result.to_dict(), stream=True)
        elif result.error is None:
            _print(result)
    if failed:
        return INPUT
    return DONE if total else NO


def _print(result: AnalyzedImage) -> None:
    count = len(result.faces)
    say(f"{result.source}: {count} face{'s' * (count != 1)}")
    for face in result.faces:
        x1, y1, x2, y2 = (round(float(v)) for v in face.box)
        quality = "" if face.quality is None else f"  quality {face.quality.value:.2f}"
        say(f"  {x1},{y1} to {x2},{y2}  score {face.score:.3f}{quality}")


def _draw(folder: Path, result: AnalyzedImage) -> None:
    from faceprint.vision import draw, images

    folder.mkdir(parents=True, exist_ok=True)
    source = Path(result.source)
    target = folder / f"{source.stem}.png"
    counter = 1
    while target.exists():
        counter += 1
        target = folder / f"{source.stem}-{counter}.png"
    draw.save_png(draw.draw_faces(images.decode(source), result.faces), target)
    note(f"drawn: {target}")
