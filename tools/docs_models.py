"""docs/models.md: every packaged card, and the accuracy that was measured on LFW."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import faceprint
from faceprint.types import Measurement, OperatingPoint
from faceprint.zoo.card import ModelCard
from faceprint.zoo.card_io import card_hash, read_card
from faceprint.zoo.packs import all_packs

__all__ = ["models_page"]

_CARDS = Path(faceprint.__file__).parent / "zoo" / "cards"

_HEAD = """\
# Models

Written by `tools/make_docs.py` from the cards and from `benchmarks/results/lfw.json`; do not edit
it by hand. How to add a model: [contributing-models.md](contributing-models.md).

`faceprint models pull ID` downloads a model, checks its sha256 and keeps it. With
`FACEPRINT_OFFLINE=1` nothing is downloaded, and the message says which file to copy where.

"Commercial use" is what the card's author found about the license of the weights. It is no legal
advice. `no` and `unclear` must be accepted once (`--accept-license`, `FACEPRINT_ACCEPT_LICENSE=1`,
or the prompt), except for the weights inside the package, which are not downloaded.

Embeddings of two models never compare. A gallery belongs to one card's hash, which covers the
files, the input contract and the alignment.
"""

_LFW = """\
## LFW, first five folds

Accuracy of `protocols.fold_accuracy` in per cent: mean and standard deviation over the five folds,
on each fold at the threshold that is best on the other four. There are {pairs} pairs of
{photographs} photographs. Of several faces the one nearest the middle counts. Where none was found
the middle of the photograph stands in, so that every pair counts. "Mirrored" adds the embedding of
the mirrored crop. Three thousand pairs show a difference of half a point between models, not of a
tenth, and support no statement below a false match rate of 1e-3.

Measured by `python benchmarks/lfw.py` ({cpu}, {cores} cores, {date}).
"""


def models_page(lfw: Path) -> str:
    """The page.

    Args:
        lfw: what benchmarks/lfw.py measured; the page has no such table without it.
    """
    cards = [read_card(path, origin="packaged") for path in sorted(_CARDS.glob("*.toml"))]
    detectors = [card for card in cards if card.task == "detect"]
    embedders = [card for card in cards if card.task == "embed"]
    lines = [_HEAD, "## Detectors", "", *_summary(detectors)]
    lines += ["", "## Embedders", "", *_summary(embedders)]
    lines += ["", "## Packs", "", "| pack | detector | embedder | |", "|---|---|---|---|"]
    lines += [
        f"| `{p.name}` | `{p.detector}` | `{p.embedder}` | {p.description} |" for p in all_packs()
    ]
    if lfw.is_file():
        lines += ["", *_lfw(json.loads(lfw.read_text("utf-8")))]
    lines += ["", *_points(embedders)]
    lines += ["## Card by card", ""]
    for card in cards:
        lines += [*_details(card), ""]
    return "\n".join(lines).rstrip() + "\n"


def _summary(cards: Iterable[ModelCard]) -> Iterator[str]:
    yield "| id | license of the weights | commercial use | MB | dim | card's hash |"
    yield "|---|---|---|---|---|---|"
    for card in cards:
        sizes = [file.size for file in card.files]
        size = "?" if None in sizes else f"{sum(filter(None, sizes)) / 1e6:.1f}"
        unpinned = "" if card.pinned else " (unpinned)"
        yield (
            f"| `{card.id}`{unpinned} | {_cell(card.license.weights)} "
            f"| {card.license.commercial_use} | {size} | {card.dim or ''} "
            f"| `{card_hash(card)[:16]}` |"
        )


def _lfw(result: dict[str, Any]) -> Iterator[str]:
    yield _LFW.format(**result)
    yield "| embedder | aligned by | compared by | plain | mirrored | not found |"
    yield "|---|---|---|---|---|---|"
    table: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = {}
    for row in [row for rows in result["rows"].values() for row in rows]:
        key = (row["embedder"], row["detector"], row["metric"])
        table.setdefault(key, {})[row["crops"]] = row
    for (embedder, detector, metric), crops in sorted(table.items()):
        plain, mirrored = crops["plain"], crops["mirrored"]
        yield (
            f"| {embedder} | {detector} | {metric} | {_per_cent(plain)} | {_per_cent(mirrored)} "
            f"| {plain['missed']} |"
        )


def _per_cent(row: dict[str, Any]) -> str:
    return f"{100 * row['accuracy']:.2f} ± {100 * row['std']:.2f}"


_EVIDENCE = """\
## Operating points

Two faces match from this cosine similarity on, for each embedder with each detector. The evidence
is one of three:

- `measured`: the false match rate (FMR) was measured with these weights;
- `copy`: it was measured with a copy that was derived from the publisher's file;
- `published`: somebody else stated the threshold, and nobody measured its error rates here.

The FMR holds on every data set of the last column. The interval (95 %) and the FNMR are those of
the worst. Other pairs of models: [evaluation.md](evaluation.md#what-stands-behind-a-threshold).

| embedder | aligned by | evidence | FMR | 95 % interval | threshold | FNMR | measured on |
|---|---|---|---|---|---|---|---|\
"""


def _points(cards: Iterable[ModelCard]) -> Iterator[str]:
    rows = [
        (card.id, item.detector, item.point) for card in cards for item in card.operating_points
    ]
    if not rows:
        return
    yield _EVIDENCE.rstrip("\n")
    for card_id, detector, point in rows:
        low, high = point.fmr_low, point.fmr_high
        interval = "" if high is None else f"{_number(low)} to {_number(high)}"
        aligned = f"`{detector}`" if detector else "any with landmarks"
        yield (
            f"| `{card_id}` | {aligned} | {point.evidence} | {_number(point.fmr)} | {interval} "
            f"| {point.threshold:.4f} | {_number(point.fnmr)} | {_measured_on(point)} |"
        )
    yield ""


def _measured_on(point: OperatingPoint) -> str:
    if not point.measurements:
        return _cell(point.source)
    sets = "; ".join(_data_set(item) for item in point.measurements)
    return _cell(f"{sets}. {point.source[:1].upper()}{point.source[1:]}")


def _data_set(item: Measurement) -> str:
    rates = [f"FMR {_number(item.fmr)}"]
    if item.group_fmr is not None:
        rates.append(f"between {item.group} {_number(item.group_fmr)}")
    if item.fnmr is not None:
        rates.append(f"FNMR {_number(item.fnmr)}")
    if item.fnmr_by_person is not None:
        rates.append(f"by person {_number(item.fnmr_by_person)}")
    return f"{item.data_set} ({', '.join(rates)})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _details(card: ModelCard) -> Iterator[str]:
    yield f"### {card.id}"
    yield ""
    yield f"{card.title}. {card.description}".strip()
    yield ""
    yield f"- Input: {_input(card)}"
    if card.alignment is not None:
        yield f"- Alignment: `{card.alignment.template}`, {card.alignment.size} pixels"
    if not card.landmarks:
        yield "- No landmarks: faces are aligned from the box"
    if card.training_data:
        yield f"- Training data: {card.training_data}"
    if card.paper:
        yield f"- Paper: <{card.paper}>"
    if card.homepage:
        yield f"- Home: <{card.homepage}>"
    code = f"; code: {card.license.code}" if card.license.code else ""
    yield f"- License of the weights: {card.license.weights}{code}. {card.license.note}".rstrip()
    if card.license.url:
        yield f"  <{card.license.url}>"
    for file in card.files:
        yield f"- File: `{file.name}`, {_source(file)}"
    for figure in card.published:
        yield f"- Published: {figure.protocol}, {figure.metric} {figure.value:g} ({figure.source})"


def _input(card: ModelCard) -> str:
    contract = card.input
    size = f"{contract.width} x {contract.height}" if contract.width else "any size"
    if contract.normalized_inside:
        return f"{size}, {contract.color}, {contract.layout}, 0..255; normalized inside the graph"
    mean, std = (", ".join(f"{v:g}" for v in values) for values in (contract.mean, contract.std))
    mirror = ", averaged with the mirror image" if contract.mirror else ""
    if contract.crops > 1:
        mirror = f", summed over {contract.crops} views of the face"
    fed = f"{size}, {contract.color}, {contract.layout}"
    return f"{fed}, mean ({mean}), std ({std}) on 0..255{mirror}"


def _source(file: Any) -> str:
    sha256 = f"sha256 `{file.sha256}`" if file.sha256 else "sha256 not known"
    if file.bundled:
        return f"{sha256}, inside the package"
    if file.archive is not None:
        return f"{sha256}, member of `{file.archive.name}`"
    return sha256


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
