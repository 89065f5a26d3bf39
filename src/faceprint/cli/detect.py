"""`faceprint detect`: the faces of photographs, with boxes and landmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from faceprint._text import counted
from faceprint.cli import options
from faceprint.cli.drawing import Draw, draw_faces
from faceprint.cli.exit_codes import DONE, INPUT, NO
from faceprint.cli.output import note, print_json, say, search_notes

if TYPE_CHECKING:
    from faceprint.types import AnalyzedImage

__all__ = ["detect"]


@options.with_model_options(*options.STREAM)
def detect(
    photographs: options.Photographs,
    draw: Draw = None,
    quality: Annotated[
        bool,
        typer.Option(
            "--quality/--no-quality",
            help="Measure quality; --no-quality is faster and gives places only.",
        ),
    ] = True,
    exclude: options.Exclude = None,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Find the faces of photographs. Exit code 1: no face in any of them.

    The faces of a photograph have numbers, the largest first. JSON lines, one per photograph:
    source, width, height, faces[]: box, score, landmarks, quality (null with --no-quality); error
    if the photograph can't be used (the others are still analyzed, and the exit code is 3).
    """
    from faceprint.vision.search_report import SearchReport
    from faceprint.vision.sources import expand_folders

    analyzer = models.load()
    search = SearchReport()
    sources = expand_folders(photographs, exclude=exclude or (), report=search)
    done = total = failed = 0
    for result in analyzer.analyze_many(sources, embed=False, quality=quality, batch_size=8):
        done += 1
        total += len(result.faces)
        failed += result.error is not None
        if result.error is not None:
            note(f"faceprint: {result.error}")
        elif draw is not None:
            labels = [f"{number}  {face.score:.3f}" for number, face in enumerate(result.faces, 1)]
            draw_faces(draw, result.source, result.faces, labels)
        if as_json:
            print_json(result.to_dict(), stream=True)
        elif result.error is None:
            _print(result)
    search_notes(search)
    if not done:
        note("no photographs were found")
    if failed or search.unreadable:
        return INPUT
    return DONE if total else NO


def _print(result: AnalyzedImage) -> None:
    say(f"{result.source}: {counted(len(result.faces), 'face', 'faces')}")
    for number, face in enumerate(result.faces, 1):
        x1, y1, x2, y2 = (round(float(v)) for v in face.box)
        quality = "" if face.quality is None else f"  quality {face.quality.value:.2f}"
        say(f"  {number}: {x1},{y1} to {x2},{y2}  score {face.score:.3f}{quality}")
