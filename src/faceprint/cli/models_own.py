"""`faceprint models add` and `lint`: add a model of your own, and check its card."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceprint.cli import options
from faceprint.cli.exit_codes import DONE, NO
from faceprint.cli.output import note, print_json, say
from faceprint.errors import CardError, UsageError

if TYPE_CHECKING:
    from faceprint.zoo.golden import Run
    from faceprint.zoo.lint import LintReport

__all__ = ["add", "lint"]


def add(
    path: Annotated[Path, typer.Argument(metavar="CARD.toml", help="The model's card.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite the card of the same id.")
    ] = False,
    as_json: options.Json = False,
) -> int:
    """Add a model of your own; files beside the card are copied with it.

    JSON: id, card (where it is kept), hash, files[] (that were copied), ready.
    """
    from faceprint.zoo import catalog, store
    from faceprint.zoo.card_io import card_hash

    if not path.is_file():
        raise UsageError(f"{path} is not a file")
    card = catalog.add_card(path, replace)
    copied = store.adopt(card, path.resolve().parent)
    if as_json:
        document: dict[str, Any] = {
            "id": card.id,
            "card": card.origin,
            "hash": card_hash(card),
            "files": [str(item) for item in copied],
            "ready": store.is_ready(card),
        }
        print_json(document)
    else:
        say(f"{card.id}: {card.origin}")
        for item in copied:
            say(f"copied: {item}")
        if not store.is_ready(card):
            note(f"`faceprint models pull {card.id}` downloads its files")
    return DONE


@options.with_model_options(*options.SESSION)
def lint(
    path: Annotated[Path, typer.Argument(metavar="FILE.onnx", help="A graph.")],
    card_path: Annotated[
        Path | None,
        typer.Option("--card", metavar="CARD.toml", help="Compare the graph with this card."),
    ] = None,
    golden: Annotated[
        bool, typer.Option("--golden", help="Print the golden values for the card.")
    ] = False,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Inspect a graph, and propose a card or check one. Exit code 1: something is wrong.

    JSON: ok, facts{name, size, sha256, ir_version, opset, producer, inputs[], outputs[], batch,
    nodes, parameters, quantized, leading[], legacy[]}, findings[]: level, topic, text; proposal
    (TOML), unknown[], lacking[], golden[] (with --golden).
    """
    from faceprint.zoo.card_io import read_card
    from faceprint.zoo.golden import golden_values
    from faceprint.zoo.lint import lint as inspect

    for given in filter(None, (path, card_path)):
        if not given.is_file():
            raise UsageError(f"{given} is not a file")
    card = None if card_path is None else read_card(card_path)
    if golden and card is None:
        raise UsageError("--golden needs --card: the card defines the graph's input")

    def open_graph(graph: Path) -> Run:
        from faceprint.runtime.session import open_session

        return open_session(graph, runtime=models.runtime, options=models.session()).run

    report = inspect(path, card=card, open_graph=open_graph)
    values: tuple[float, ...] = ()
    if golden and card is not None:
        if len(card.files) > 1:
            raise CardError(f"{card_path}: --golden needs a card of one file")
        values = golden_values(card, {card.files[0].role: open_graph(path)})
    if as_json:
        print_json(_lint_document(report) | ({"golden": list(values)} if golden else {}))
    else:
        _print_lint(report, proposal=card is None)
        if golden:
            say(f"golden = [{', '.join(repr(value) for value in values)}]")
    return DONE if report.passed else NO


def _lint_document(report: LintReport) -> dict[str, Any]:
    return {
        "ok": report.passed,
        "facts": asdict(report.facts),
        "findings": [asdict(finding) for finding in report.findings],
        "proposal": report.proposal,
        "unknown": list(report.unknown),
        "lacking": list(report.lacking),
    }


def _print_lint(report: LintReport, *, proposal: bool) -> None:
    for finding in report.findings:
        say(f"{finding.level:<5}  {finding.topic}: {finding.text}")
    if proposal:
        say("")
        say(report.proposal, lines=True)
    for title, lines in (
        ("The graph does not show:", report.unknown),
        ("A contribution still lacks:", report.lacking),
    ):
        if lines:
            note(title)
            for line in lines:
                note(f"  - {line}")
