"""`faceprint verify`: do two photographs show the same person?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceprint.cli import completion, options
from faceprint.cli.exit_codes import DONE, NO
from faceprint.cli.output import note, print_json, say
from faceprint.errors import UsageError

if TYPE_CHECKING:
    from faceprint.types import Verification

__all__ = ["verify"]


@options.with_model_options(*options.MODELS)
def verify(
    a: Annotated[Path, typer.Argument(metavar="A", help="The first photograph.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The second photograph.")],
    fmr: Annotated[
        float | None,
        typer.Option("--fmr", help="Use the threshold measured for this false match rate. [1e-3]"),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="Use this cosine similarity as the threshold."),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            "--calibration",
            metavar="NAME",
            help="Use the thresholds of `calibrate --name NAME`.",
            autocompletion=completion.calibrations,
        ),
    ] = None,
    faces: Annotated[
        str,
        typer.Option(
            "--faces",
            help="With several faces: largest, all (the best pair), or one (else fail).",
            autocompletion=completion.choices("largest", "all", "one"),
        ),
    ] = "largest",
    min_quality: options.MinQuality = None,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="OUT.png", help="Draw the comparison as a PNG."),
    ] = None,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Compare the faces of two photographs. Exit code 0: match; 1: no match, or no decision.

    Nothing is decided if a face is too poor for the model's measured error rates.

    JSON: similarity, threshold, match, decidable, reason, fmr (null if not measured for these
    models), fmr_low, fmr_high, operating_point, evidence (measured, copy, calibrated,
    published, borrowed or given), provisional (true: published or borrowed), measured_on[]:
    data_set, fmr, fmr_low, fmr_high, fnmr, fnmr_low, fnmr_high, fnmr_by_person, group, group_fmr;
    source, rarity, probability, prior, pack, embedder, faces[2]: box, score, landmarks, quality,
    face_count.
    """
    from faceprint.recognition.verify import verify as verify_faces

    if figure is not None and figure.suffix.lower() != ".png":
        raise UsageError(f"--figure writes a PNG file; {figure} has another suffix")
    result = verify_faces(
        a,
        b,
        analyzer=models.load(),
        fmr=fmr,
        threshold=threshold,
        faces=faces,  # type: ignore[arg-type]
        keep_crops=figure is not None,
        calibration=calibration,
        min_quality=min_quality,
    )
    if figure is not None:
        _draw(figure, (a, b), result)
    if as_json:
        print_json(result.to_dict())
    else:
        _print(result, (a, b), figure, largest=faces == "largest")
        compared = result.face_counts[0] * result.face_counts[1]
        if faces == "all" and compared > 1 and result.operating_point.fmr is not None:
            note(f"the rate is that of one pair; this is the best of {compared} pairs")
    return DONE if result.is_match else NO


def _print(
    result: Verification, sources: tuple[Path, Path], figure: Path | None, *, largest: bool
) -> None:
    for source, count in zip(sources, result.face_counts, strict=True):
        if count > 1:
            hint = "; the largest was compared (see --faces)" if largest else ""
            note(f"{source}: {count} faces{hint}")
    verdict = "match" if result.is_match else "no match" if result.decidable else "cannot decide"
    color = "green" if result.is_match else "yellow"
    numbers = f"similarity {result.similarity:.3f}, threshold {result.threshold:.3f}"
    say(f"{verdict}: {numbers}", color=color)
    if not result.decidable:
        note(f"{result.reason}; use --min-quality 0 to decide anyway")
    from faceprint.evidence import evidence_words

    note(evidence_words(result.operating_point))
    if result.rarity is not None:
        note(result.rarity)
    if figure is not None:
        note(f"figure: {figure}")


def _draw(path: Path, sources: tuple[Path, Path], result: Verification) -> None:
    from faceprint.vision import images
    from faceprint.vision.draw import save_png
    from faceprint.vision.figure import comparison_figure

    first, second = (images.decode(source) for source in sources)
    crops = [face.crop for face in result.faces if face.crop is not None]
    figure = comparison_figure(
        title="Are these the same person?",
        images=(first, second),
        verification=result,
        crops=(crops[0], crops[1]),
        captions=(sources[0].name, sources[1].name),
    )
    save_png(figure, path)
