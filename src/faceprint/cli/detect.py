"""`faceprint detect`: the faces of photographs, with boxes and landmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faceprint.cli import options
from faceprint.cli.exit_codes import DONE, INPUT, NO
from faceprint.cli.output import counted, note, print_json, say
from faceprint.types import AnalyzedImage

__all__ = ["detect"]


@options.with_model_options(*options.MODELS)
def detect(
    photographs: Annotated[list[Path], typer.Argument(metavar="IMG...", help="Photographs.")],
    draw: Annotated[
        Path | None,
        typer.Option(
            "--draw", metavar="DIR", help="Write a copy of each photograph with its faces marked."
        ),
    ] = None,
    quality: Annotated[
        bool,
        typer.Option(
            "--quality/--no-quality",
            help="Measure quality; --no-quality is faster and gives places only.",
        ),
    ] = True,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Find the faces of photographs. Exit code 1: no face in any of them.

    JSON lines, one per photograph: source, width, height, faces[]: box, score, landmarks, quality
    (null with --no-quality); error if the photograph can't be used (the others are still analyzed,
    and the exit code is 3).
    """
    analyzer = models.load()
    total = failed = 0
    for result in analyzer.analyze_many(photographs, embed=False, quality=quality, batch_size=8):
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
    say(f"{result.source}: {counted(len(result.faces), 'face', 'faces')}")
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
