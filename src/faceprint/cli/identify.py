"""`faceprint identify`: find the people of photographs in a gallery."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceprint._text import counted
from faceprint.cli import completion, options
from faceprint.cli.attendance import Attendance
from faceprint.cli.drawing import Draw, draw_faces
from faceprint.cli.exit_codes import DONE, INPUT, NO
from faceprint.cli.gallery_options import (
    KeyFile,
    Location,
    announced,
    load_for,
    require_gallery,
    threshold_words,
)
from faceprint.cli.output import note, print_json, say, search_notes

if TYPE_CHECKING:
    from faceprint.types import AnalyzedImage, Face, Identification

__all__ = ["identify"]


_TOP = 5


@options.with_model_options(*options.STREAM)
def identify(
    gallery: Location,
    photographs: options.Photographs,
    top: Annotated[
        int | None,
        typer.Option(
            "--top", metavar="K", min=1, help="Number of candidates, each another subject. [5]"
        ),
    ] = None,
    draw: Draw = None,
    attendance: Annotated[
        Path | None,
        typer.Option(
            "--attendance",
            metavar="FILE.csv",
            help="Write who of the gallery is in the photographs, and in how many.",
        ),
    ] = None,
    fpir: options.Fpir = None,
    threshold: options.Threshold = None,
    calibration: options.Calibration = None,
    min_quality: options.MinQuality = None,
    index: Annotated[
        str,
        typer.Option(
            "--index",
            help="exact, signs (binary LSH), usearch, or auto: by the gallery's size.",
            autocompletion=completion.choices("auto", "exact", "signs", "usearch"),
        ),
    ] = "auto",
    exclude: options.Exclude = None,
    key_file: KeyFile = None,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Search every face of the photographs. Exit code 1: nobody was recognized.

    With --top, the candidates are printed too. JSON lines: source, box, subject (null for a
    stranger), similarity, threshold, evidence, provisional (true: the threshold was not measured
    for these models), decidable (false if the quality of the face is too low; reason says why),
    candidates[]: subject, template, similarity, rank; error if a photograph can't be used (exit
    code 3).
    """
    from faceprint.recognition.gallery import Gallery
    from faceprint.recognition.gallery.crypto import read_key_file
    from faceprint.recognition.thresholds.saved_calibrations import calibration_for
    from faceprint.vision.search_report import SearchReport
    from faceprint.vision.sources import expand_folders

    fp = load_for(gallery, models)
    require_gallery(gallery)
    key = None if key_file is None else read_key_file(key_file)
    points = None if calibration is None else calibration_for(calibration, fp).points
    search = SearchReport()
    sources = expand_folders(photographs, exclude=exclude or (), report=search)
    present = Attendance()
    done = found = failed = 0
    with announced(Gallery.open(gallery, fp, key=key, index=index)) as opened:  # type: ignore[arg-type]
        point = opened.operating_point(fpir=fpir, threshold=threshold, points=points)
        note(threshold_words(point))
        for result in fp.analyze_many(sources):
            done += 1
            if result.error is not None:
                failed += 1
                _print_failure(result, as_json)
                continue
            faces = [face for face in result.faces if face.embedding is not None]
            answers = opened.identify_faces(faces, point, top=top or _TOP, min_quality=min_quality)
            found += sum(answer.subject is not None for answer in answers)
            _print(result.source, faces, answers, as_json, several=top is not None)
            for answer in answers:
                present.add(result.source, answer)
            if draw is not None:
                draw_faces(draw, result.source, faces, [_label(answer) for answer in answers])
        search_notes(search)
        if attendance is not None:
            here, total = present.write(attendance, (s.name for s in opened.subjects()))
            note(f"{attendance}: {here} of {counted(total, 'subject', 'subjects')} present")
    if not done:
        note("no photographs were found")
    if failed or search.unreadable:
        return INPUT
    return DONE if found else NO


def _print(
    source: str, faces: list[Face], answers: list[Identification], as_json: bool, several: bool
) -> None:
    if not faces:
        note(f"{source}: no face found")
    for face, answer in zip(faces, answers, strict=True):
        if as_json:
            print_json(_line(source, face, answer), stream=True)
            continue
        color = None if answer.subject is None else "green"
        say(_sentence(source, face, answer), color=color)
        for match in answer.candidates if several else ():
            say(f"  {match.rank}: {match.subject} ({match.similarity:.3f})")


def _print_failure(result: AnalyzedImage, as_json: bool) -> None:
    note(f"faceprint: {result.error}")
    if as_json:
        print_json(_failure(result), stream=True)


def _label(answer: Identification) -> str:
    """What `--draw` writes at a face."""
    if answer.subject is None:
        return "?" if answer.decidable else "too poor"
    return f"{answer.subject}  {answer.candidates[0].similarity:.3f}"


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
