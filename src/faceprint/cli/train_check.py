"""`faceprint train check`: what a data set can carry, before anything is trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from faceprint._text import counted
from faceprint.cli import options
from faceprint.cli.exit_codes import DONE, NO
from faceprint.cli.labeled_data import Aligned
from faceprint.cli.output import print_json, print_table, say, search_notes
from faceprint.cli.progress import progress

__all__ = ["check"]

_NAMED = 5
"""Examples of each finding that the text names; the JSON names all."""


@options.with_model_options(*options.STREAM)
def check(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="One folder per person, a Parquet table, or a RecordIO pack."
        ),
    ],
    store: Annotated[
        Path,
        typer.Option("--store", metavar="DIR", help="The crop store, made or continued."),
    ],
    against: Annotated[
        list[Path] | None,
        typer.Option(
            "--against",
            metavar="PATH",
            help="Evaluation set, as DATA, whose people must not be in DATA; repeatable.",
        ),
    ] = None,
    exclude: options.Exclude = None,
    aligned: Aligned = False,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Report on a data set for training. Exit code 1: people are shared with an evaluation set.

    Faces are found and aligned once and kept in the crop store, which `train` reads. Photographs
    are known by their content: a second run only looks at new ones. With --aligned, and in a pack,
    pictures are crops of 112x112 pixels, and nothing is judged by embeddings.
    JSON: people, photographs, crops, photographs_each{min, lower_quartile, median, upper_quartile,
    max}, people_with_one, several_faces, unusable[]{source, reason}, repeated[], conflicting[],
    near_duplicates[]{kept, other}, outliers[], probably_one[]{a, b, similarity},
    levels{strangers, own}, shared[]{person, evaluation, other, why}, passed.
    """
    from faceprint.training.check import CheckOptions, check_data
    from faceprint.training.people_data import open_people
    from faceprint.vision.search_report import SearchReport

    search = SearchReport()
    try:
        labeled = open_people(data, aligned=aligned, exclude=exclude or (), report=search)
        others = [open_people(path, aligned=aligned, report=search) for path in against or []]
    finally:
        search_notes(search)
    analyzer = None if labeled.aligned else models.load()
    chosen = CheckOptions(analyzer, others, progress("new photographs"))
    report, _ = check_data(labeled, store, chosen)
    document = report.to_dict()
    if as_json:
        print_json(document)
    else:
        _print(document)
    return DONE if report.passed else NO


def _print(document: dict[str, Any]) -> None:
    each = document["photographs_each"]
    print_table(
        ("data", ""),
        [
            ("people", f"{document['people']:,}"),
            ("photographs", f"{document['photographs']:,}, {document['crops']:,} with a crop"),
            ("each", f"{each['min']:g} to {each['max']:g}, median {each['median']:g}"),
            ("with one photograph", counted(document["people_with_one"], "person", "people")),
            ("several faces", counted(document["several_faces"], "photograph", "photographs")),
        ],
    )
    _list("without a crop", [f"{u['source']} ({u['reason']})" for u in document["unusable"]])
    _list("there twice", document["repeated"])
    _list("under two names, not used", document["conflicting"])
    pairs = document["near_duplicates"]
    _list("nearly the same", [f"{pair['other']} as {pair['kept']}" for pair in pairs])
    _list("unlike their person's others", document["outliers"])
    merges = document["probably_one"]
    _list("probably one person", [f"{m['a']} and {m['b']} ({m['similarity']})" for m in merges])
    shared = [
        f"{s['person']}, as {s['other']} of {s['evaluation']} ({s['why']})"
        for s in document["shared"]
    ]
    _list("shared with an evaluation set", shared)
    if not document["passed"]:
        say("refused: leave these people out (--exclude NAME), or measure on other people")


def _list(title: str, items: list[str]) -> None:
    if items:
        more = f" and {len(items) - _NAMED:,} more" if len(items) > _NAMED else ""
        say(f"{title}: {len(items):,}: {'; '.join(items[:_NAMED])}{more}")
