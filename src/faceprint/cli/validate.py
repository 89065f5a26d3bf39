"""`faceprint models validate`: compares a card's published figures with measured ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from faceprint.cli import completion, options
from faceprint.cli.exit_codes import DONE, NO
from faceprint.cli.labeled_data import Mirror, open_pairs
from faceprint.cli.output import note, print_json, print_table
from faceprint.cli.progress import progress
from faceprint.errors import UsageError

__all__ = ["register", "validate"]


@options.with_model_options("pack", "detector", "runtime", "device", "threads", "accept_license")
def validate(
    card_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="An embedder's card id.", autocompletion=completion.embedders
        ),
    ],
    on: Annotated[
        Path,
        typer.Option(
            "--on", metavar="DATA", help="The folder of LFW, or a .bin pack as cfp_fp.bin."
        ),
    ],
    pairs: Annotated[
        Path | None, typer.Option("--pairs", metavar="F", help="LFW's pairs.txt. [DATA/pairs.txt]")
    ] = None,
    data_set: Annotated[
        str | None,
        typer.Option("--data-set", metavar="NAME", help="Its name in the card. [from DATA]"),
    ] = None,
    mirror: Mirror = False,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Compare the published figures of a card with measured ones. Exit code 1: they disagree.

    They disagree if the published value is outside the interval (95 %) of the measured one.
    JSON: id, data_set, agrees, figures[]: protocol, metric, published, source, measured, low, high,
    agrees (null: this data cannot tell); result: as of `evaluate`.
    """
    from faceprint.evaluation.embeddings import EmbedOptions
    from faceprint.evaluation.validate import compare_published, data_set_name
    from faceprint.evaluation.verification import evaluate

    fp = replace(models, embedder=card_id, processes=None).load(mirror=mirror)
    published = fp.embedder_card.published
    if not published:
        raise UsageError(f"the card of {card_id} has no published figure")
    data = open_pairs("lfw" if on.is_dir() else "bin", on, pairs, aligned=False)
    name = data_set or data_set_name(on.stem)
    run = evaluate(
        "lfw" if on.is_dir() else "bin",
        data,
        fp,
        options=EmbedOptions(aligned=data.aligned, face="central"),
        progress=progress("pictures"),
    )
    found = compare_published(published, run.result, name)
    compared = [comparison for comparison in found if comparison.agrees is not None]
    if not compared:
        known = ", ".join(dict.fromkeys(figure.protocol for figure in published))
        raise UsageError(
            f"the card of {card_id} has no accuracy on {name}; it has figures on {known} "
            "(name the data set with --data-set)"
        )
    agrees = all(comparison.agrees for comparison in compared)
    if as_json:
        print_json(
            {
                "id": card_id,
                "data_set": name,
                "agrees": agrees,
                "figures": [comparison.to_json() for comparison in found],
                "result": run.result.to_json(),
            }
        )
        return DONE if agrees else NO
    print_table(
        ("data set", "metric", "published", "measured", "95 %", "agree", "published by"),
        [
            (
                c.published.protocol,
                c.published.metric,
                f"{c.published.value:.4f}",
                "" if c.measured is None else f"{c.measured:.4f}",
                "" if c.low is None else f"{c.low:.4f} to {c.high:.4f}",
                {True: "yes", False: "NO", None: "not measured"}[c.agrees],
                c.published.source,
            )
            for c in found
        ],
    )
    note(f"{run.result.pairs:,} pairs, {run.result.failed} pictures without a face, {fp.name}")
    return DONE if agrees else NO


def register(app: typer.Typer) -> None:
    """Add the command to `faceprint models`."""
    app.command()(validate)
