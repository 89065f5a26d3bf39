"""`faceprint find`: the photographs that show one person."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceprint._files import file_of
from faceprint._text import counted
from faceprint.cli import options
from faceprint.cli.exit_codes import DONE, INPUT, NO
from faceprint.cli.gallery_options import threshold_words
from faceprint.cli.output import note, print_json, say, search_notes
from faceprint.cli.progress import progress
from faceprint.errors import InputError, UsageError

if TYPE_CHECKING:
    from faceprint.recognition.find import PersonSearch, Sighting
    from faceprint.types import AnalyzedImage
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["find"]


@options.with_model_options(*options.STREAM)
def find(
    words: Annotated[
        list[Path],
        typer.Argument(
            metavar="PERSON... PATH...",
            help="Photographs of the person, then where to search: folders and photographs.",
        ),
    ],
    table: Annotated[
        Path | None,
        typer.Option("--from", metavar="TABLE", help="Search a table made by embed instead."),
    ] = None,
    copy: Annotated[
        Path | None, typer.Option("--copy", metavar="DIR", help="Copy the photographs found here.")
    ] = None,
    link: Annotated[
        Path | None, typer.Option("--link", metavar="DIR", help="Link to them from here.")
    ] = None,
    fmr: Annotated[
        float | None,
        typer.Option("--fmr", help="False match rate of one comparison. [1e-3]"),
    ] = None,
    fpir: Annotated[
        float | None,
        typer.Option("--fpir", help="Share of other people's faces that may be taken for PERSON."),
    ] = None,
    threshold: options.Threshold = None,
    calibration: options.Calibration = None,
    min_quality: options.MinQuality = None,
    exclude: options.Exclude = None,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Find all photographs of one person. Exit code 1: there is none.

    The photographs before the first folder show the person; without a folder, the first one does.
    Of each, the largest face is taken; exit code 3 if there is none, or it is too poor. Faces are
    compared one by one, so strangers match by chance in proportion to the number of faces: the
    message at the end says how many to expect. JSON lines, one per photograph found: source, box,
    similarity, threshold, evidence, provisional, file (the copy or link, else null); error if a
    photograph can't be used (exit code 3).
    """
    from faceprint.recognition.find import person_search

    if copy is not None and link is not None:
        raise UsageError("give --copy or --link, not both")
    person, searched = (words, []) if table is not None else _split(words)
    fp = _models_of(models, table).load()
    search = person_search(
        fp,
        person,
        fmr=fmr,
        fpir=fpir,
        threshold=threshold,
        calibration=calibration,
        min_quality=min_quality,
    )
    _introduce(search, person)
    photographs, complete = _photographs(fp, searched, table, exclude or [])
    found = failed = 0
    for sighting in search.look(photographs):
        if sighting.error is not None:
            failed += 1
            note(f"faceprint: {sighting.error}")
        else:
            found += 1
        file = None if sighting.error is not None else _place(sighting, copy, link)
        if as_json:
            print_json(_line(sighting, file), stream=True)
        elif sighting.error is None:
            say(f"{sighting.source}  {sighting.similarity:.3f}")
    _summarize(search, found)
    if failed or not complete:
        return INPUT
    return DONE if found else NO


def _split(words: list[Path]) -> tuple[list[Path], list[Path]]:
    """The photographs of the person, and where to search."""
    folders = [place for place, word in enumerate(words) if os.path.isdir(word)]  # noqa: PTH112
    start = folders[0] if folders else 1
    if start == 0:
        raise UsageError(f"{words[0]} is a folder; name a photograph of the person first")
    if start >= len(words):
        raise UsageError("nothing to search; give PERSON and then folders or photographs")
    return words[:start], words[start:]


def _models_of(models: options.ModelOptions, table: Path | None) -> options.ModelOptions:
    """The models asked for; those that made the table where none were."""
    if table is None:
        return models
    from faceprint.bulk.run import detector_of
    from faceprint.embedding_table.reader import embedder_of

    return models.preferring(embedder_of(table), detector_of(table))


def _introduce(search: PersonSearch, person: list[Path]) -> None:
    note(threshold_words(search.point))
    for place, count in enumerate(search.face_counts):
        if count > 1:
            note(f"{person[place]}: {count} faces; the largest is taken for the person")
    for place in search.doubtful():
        note(f"{person[place]} does not match {person[0]}: is it the same person?")


def _photographs(
    fp: FaceAnalyzer, searched: list[Path], table: Path | None, exclude: list[str]
) -> tuple[Iterator[AnalyzedImage], bool]:
    """What is searched, and whether every folder could be read."""
    from faceprint.embedding_table.reader import read_photographs
    from faceprint.recognition.albums.sync import find_photographs
    from faceprint.vision.search_report import SearchReport

    if table is not None:
        return read_photographs(table), True
    report = SearchReport()
    photographs = find_photographs(searched, exclude=exclude, report=report)
    search_notes(report)
    if not photographs and report.unreadable:
        raise InputError("no photographs: the folders given can't be read")
    if not photographs:
        note("no photographs were found")
    return _counted(fp, photographs), not report.unreadable


def _counted(fp: FaceAnalyzer, photographs: list[str]) -> Iterator[AnalyzedImage]:
    show = progress("photographs")
    for done, result in enumerate(fp.analyze_many(photographs), 1):
        yield result
        if len(photographs) > 1:
            show(done, len(photographs))


def _place(sighting: Sighting, copy: Path | None, link: Path | None) -> str | None:
    from faceprint.recognition.albums.folders import place_photograph

    folder = copy or link
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    target = place_photograph(file_of(sighting.source), folder, "copy" if copy else "link")
    if target is None:
        note(f"{sighting.source}: not here, so there is nothing to {'copy' if copy else 'link'}")
    return None if target is None else str(target)


def _line(sighting: Sighting, file: str | None) -> dict[str, Any]:
    line = sighting.to_dict()
    return line if sighting.error is not None else line | {"file": file}


def _summarize(search: PersonSearch, found: int) -> None:
    """Say what the finds are worth: how many comparisons there were."""
    photographs = counted(search.photographs, "photograph", "photographs")
    faces = counted(search.faces, "face", "faces")
    own = counted(len(search.references), "photograph", "photographs")
    note(f"found in {found:,} of {photographs}; {faces} compared with {own} of the person")
    if search.poor:
        note(f"{counted(search.poor, 'face', 'faces')} too poor to decide; --min-quality 0 decides")
    chance = search.expected_false_matches
    if chance is None:
        note("how many match by chance is unknown: no false match rate was measured")
    elif search.comparisons:
        most = f"up to {chance:,.1f}" if chance >= 0.1 else "fewer than 0.1"
        many = counted(search.comparisons, "comparison", "comparisons")
        note(f"{many}; by chance, {most} of them match")
