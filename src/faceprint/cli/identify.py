"""`faceprint identify`: find the people of photographs in a gallery."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceprint.cli import options
from faceprint.cli.exit_codes import DONE, INPUT, NO
from faceprint.cli.gallery_options import KeyFile, Location, announced, gallery_exists
from faceprint.cli.output import note, print_json, say
from faceprint.errors import UsageError

if TYPE_CHECKING:
    from faceprint.types import AnalyzedImage, Face, Identification, OperatingPoint

__all__ = ["identify"]


@options.with_model_options(*options.MODELS)
def identify(
    gallery: Location,
    photographs: Annotated[list[Path], typer.Argument(metavar="IMG...", help="Photographs.")],
    top: Annotated[int, typer.Option("--top", min=1, help="Number of candidates.")] = 5,
    fpir: Annotated[
        float | None,
        typer.Option(
            "--fpir", help="Share of strangers that may be identified as somebody. [1e-2]"
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Use this cosine similarity instead.")
    ] = None,
    calibration: options.Calibration = None,
    min_quality: options.MinQuality = None,
    index: Annotated[
        str,
        typer.Option(
            "--index", help="exact, signs (binary LSH), usearch, or auto: by the gallery's size."
        ),
    ] = "auto",
    key_file: KeyFile = None,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Search every face of the photographs. Exit code 1: nobody was recognized.

    JSON lines: source, box, subject (null for a stranger), similarity, threshold, evidence,
    provisional (true: the threshold was not measured for these models), decidable (false if the
    quality of the face is too low; reason says why), candidates[]: subject, template, similarity,
    rank; error if a photograph can't be used (exit code 3).
    """
    from faceprint.recognition.gallery import Gallery
    from faceprint.recognition.gallery.crypto import read_key_file
    from faceprint.recognition.thresholds.saved_calibrations import calibration_for

    fp = models.load()
    if not gallery_exists(gallery):
        raise UsageError(f"there is no gallery at {gallery}; create one with faceprint enroll")
    key = None if key_file is None else read_key_file(key_file)
    points = None if calibration is None else calibration_for(calibration, fp).points
    found = failed = 0
    with announced(Gallery.open(gallery, fp, key=key, index=index)) as opened:  # type: ignore[arg-type]
        point = opened.operating_point(fpir=fpir, threshold=threshold, points=points)
        note(f"threshold {point.threshold:.3f}: {point.name}{_evidence(point)}")
        for result in fp.analyze_many(photographs):
            if result.error is not None:
                failed += 1
                note(f"faceprint: {result.error}")
                if as_json:
                    print_json(_failure(result), stream=True)
                continue
            embedded = [face for face in result.faces if face.embedding is not None]
            if not embedded:
                note(f"{result.source}: no face found")
            answers = opened.identify_faces(embedded, point, top=top, min_quality=min_quality)
            for face, answer in zip(embedded, answers, strict=True):
                found += answer.subject is not None
                if as_json:
                    print_json(_line(result.source, face, answer), stream=True)
                else:
                    say(_sentence(result.source, face, answer))
    if failed:
        return INPUT
    return DONE if found else NO


def _evidence(point: OperatingPoint) -> str:
    if point.provisional:
        return f" ({point.source}: provisional)"
    if point.fmr is not None:
        return f" (FMR {point.fmr:.2g}; {point.source})"
    if point.fmr_high is not None:
        return f" (measured: FMR at most {point.fmr_high:.2g}; {point.source})"
    return ""


def _line(source: str, face: Face, answer: Identification) -> dict[str, Any]:
    box = [round(float(value), 2) for value in face.box]
    return {"source": source, "box": box} | answer.to_dict()


def _failure(result: AnalyzedImage) -> dict[str, Any]:
    nothing: dict[str, Any] = {"box": None, "subject": None, "similarity": None, "candidates": []}
    return {"source": result.source, **nothing, "error": str(result.error)}


def _sentence(source: str, face: Face, answer: Identification) -> str:
    x1, y1, x2, y2 = (round(float(value)) for value in face.box)
    where = f"{source} [{x1},{y1},{x2},{y2}]"
    if not answer.candidates:
        return f"{where}: the gallery is empty"
    best = answer.candidates[0]
    if not answer.decidable:
        return f"{where}: cannot decide: {answer.reason}; --min-quality 0 decides anyway"
    if answer.subject is not None:
        return f"{where}: {answer.subject} ({best.similarity:.3f})"
    return f"{where}: a stranger (closest: {best.subject}, {best.similarity:.3f})"
