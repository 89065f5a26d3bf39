"""docs/benchmarks.md and its plots: what benchmarks/peers.py measured, read from its JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs_svg import Bar, Panel, chart

__all__ = ["benchmarks_page", "ratios_plot", "speed_plot"]

Result = dict[str, Any]

_SETS = {"lfw": "of LFW, 250 x 250 pixels", "large": "above a megapixel"}
_MODES = {"one": "one at a time", "bulk": "in bulk"}
_TITLES = {
    "embeddings": "The same detector and embedder: insightface and uniface",
    "dlib": "The starter pack and face_recognition",
    "mtcnn": "The same MTCNN: facenet-pytorch and the TensorFlow distribution",
    "deepface": "The same embedder: deepface",
}

_HEAD = """\
# faceprint and its peers

Written by `tools/make_docs.py` from `benchmarks/results/peers_*.json`; do not edit it by hand.
`make bench` measures them again. `python benchmarks/peers.py --quick` tries few photographs.

Each side runs in its own process and environment and loads its models once. All sides get the same
photographs, chunk by chunk in turn, so a slow minute of the machine affects all of them. Time runs
from the path of a file to the peer's own result. "In bulk" is the fastest way that a peer offers,
or that a loop or a pool of threads or processes around it gives. A trial on this machine finds it.
A ratio is the median over the chunks of their time divided by ours, with quartiles in brackets.
Above 1 faceprint is faster. "Asked" is the goal that faceprint set before measuring. A ratio below
it is printed in bold.

"Stream against loop" compares calling the peer photograph by photograph, as its documentation
does, with `analyze_many`: mean times of the same run. insightface, uniface, deepface and dlib have
no call for many photographs; the pools around them are the benchmark's.

The machine has a few cores, other work and no graphics card: ratios mean something, milliseconds
little.
"""


def benchmarks_page(results: Path) -> str:
    """The page.

    Args:
        results: the folder of JSON files; a group whose file is not there is left out.
    """
    lines = [_HEAD]
    timed = results / "engine.json"
    engine = json.loads(timed.read_text("utf-8")) if timed.is_file() else {}
    groups = {name: read for name in _TITLES if (read := _read(results, name))}
    if groups:
        lines += ["![How many times as fast](images/benchmarks-ratios.svg)", ""]
    for name, result in groups.items():
        lines += [f"## {_TITLES[name]}", "", *_group(name, result, engine), ""]
    if costs := _read(results, "costs"):
        lines += ["## Before the first answer", "", *_costs(costs), ""]
    return "\n".join(lines).rstrip() + "\n"


def ratios_plot(results: Path) -> str:
    """SVG of every ratio that a bar was set for."""
    panels = []
    for on, words in _SETS.items():
        rows = []
        for name in _TITLES:
            found = [row for row in _ratios(_read(results, name), on) if row[2]]
            rows += [(_against(pair), _ratio_bars(modes)) for pair, modes, _ in found]
        if rows:
            panels.append(Panel(f"Times as fast as the peer, photographs {words}", rows, 1.0))
    legend = [("ours", "one at a time"), ("ours2", "in bulk"), ("mark", "asked at least")]
    legend.append(("axis", "as fast as the peer"))
    return chart(panels, legend, "How many times as fast faceprint is as each of its peers")


def speed_plot(results: Path) -> str:
    """SVG of photographs a second with the same two weight files."""
    panels = []
    result = _read(results, "embeddings") or {"sets": {}}
    for on, part in result["sets"].items():
        rows = []
        for side, found in part["results"].items():
            kind = "ours" if side.startswith("faceprint") else "theirs"
            rates = (1000 / found["one"]["ms_mean"], found["bulk"]["photographs_a_second"])
            bars = [
                Bar(rate, f"{rate:.0f}", kind + tone)
                for rate, tone in zip(rates, ("", "2"), strict=True)
            ]
            rows.append((side, bars))
        panels.append(Panel(f"Photographs {_SETS[on]}: how many a second", rows))
    legend = [
        ("ours", "faceprint, one at a time"),
        ("ours2", "faceprint, in bulk"),
        ("theirs", "peer, one at a time"),
        ("theirs2", "peer, in bulk"),
    ]
    return chart(panels, legend, "Photographs a second with the same weight files")


def _read(results: Path, name: str) -> Result:
    path = results / f"peers_{name}.json"
    found: Result = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return found


def _group(name: str, result: Result, engine: Result) -> Iterator[str]:
    what = result["what"]
    yield f"{what[:1].upper()}{what[1:]}. {_where(result)}"
    yield ""
    if name == "embeddings":
        yield "![Photographs a second](images/benchmarks-speed.svg)"
        yield ""
    yield "| faceprint against | photographs | one at a time | in bulk | stream against loop |"
    yield "|---|---|---|---|---|"
    for on, words in _SETS.items():
        for pair, modes, _ in _ratios(result, on):
            cells = " | ".join(_cell(modes[mode]) for mode in _MODES)
            loop = _stream_against_loop(pair, result["sets"][on]["results"])
            yield f"| {_against(pair)} | {words} | {cells} | {loop} |"
    for limit in _limits(result, engine):
        yield ""
        yield limit
    for note in sorted({row["note"] for row in result["ratios"] if row.get("note")}):
        yield ""
        yield f"(\\*) {note}."
    for on, part in result["sets"].items():
        yield ""
        yield from _sides(on, part)
    yield ""
    yield from _agreement(result)
    yield ""
    for side, facts in result["sides"].items():
        versions = ", ".join(f"{key} {value}" for key, value in facts["versions"].items())
        yield f"- {side}: `{facts['api']}`; detector's input: {facts['input']}; {versions}"
    for side, why in result["left_out"].items():
        yield f"- {side} was left out: {why}"


def _stream_against_loop(pair: Result, sides: Result) -> str:
    if pair["ours"] not in sides or pair["theirs"] not in sides:
        return "not measured"
    return f"{sides[pair['theirs']]['one']['ms_mean'] / sides[pair['ours']]['bulk']['ms']:.2f}"


def _limits(result: Result, engine: Result) -> Iterator[str]:
    """What could be reached where a bar for bulk work was missed."""
    shares = {
        (row["side_of_peers"], row["on"]): row["share_of_the_bare_rate"]
        for row in engine.get("rows", ())
        if "side_of_peers" in row
    }
    for row in result["ratios"]:
        share = shares.get((row["ours"], row["on"]))
        if row["mode"] == "bulk" and row["holds"] is False and share:
            most = row["times_as_fast"]["median"] / share
            yield (
                f"In bulk against {_against(row)}, photographs {_SETS[row['on']]}: networks alone "
                f"take {100 * share:.0f} % of faceprint's time (`benchmarks/engine.py`). If "
                f"nothing else took any, the ratio would be {most:.2f}."
            )


def _where(result: Result) -> str:
    return f"({result['cpu']}, {result['cores']} cores, {result['date']}, {result['commit']}.)"


Modes = dict[str, Result]


def _ratios(result: Result, on: str) -> list[tuple[Result, Modes, bool]]:
    """(first row of a pair, its rows by mode, whether anything was asked of it)."""
    pairs: dict[tuple[str, str], Modes] = {}
    for row in result.get("ratios", ()):
        if row["on"] == on:
            pairs.setdefault((row["ours"], row["theirs"]), {})[row["mode"]] = row
    return [
        (modes["one"], modes, any(row["at_least"] for row in modes.values()))
        for modes in pairs.values()
    ]


def _against(row: Result) -> str:
    note = " (*)" if row.get("note") else ""
    ours = "" if row["ours"].split(",")[0] == "faceprint" else f" ({row['ours']})"
    return f"{row['theirs']}{note}{ours}"


def _cell(row: Result) -> str:
    found, asked = row["times_as_fast"], row["at_least"]
    if found is None:
        return "not measured"
    text = f"{found['median']:.2f}"
    text = f"**{text}**" if row["holds"] is False else text
    if "quartiles" in found:
        low, high = found["quartiles"]
        text += f" ({low:.2f} to {high:.2f})"
    return text if asked is None else f"{text}, asked {asked:g}"


def _ratio_bars(modes: Modes) -> list[Bar]:
    bars = []
    for mode, kind in (("one", "ours"), ("bulk", "ours2")):
        row = modes[mode]
        if row["times_as_fast"]:
            value = row["times_as_fast"]["median"]
            bars.append(Bar(value, f"{value:.2f} x", kind, row["at_least"]))
    return bars


def _sides(on: str, part: Result) -> Iterator[str]:
    repeated = "" if part["distinct"] == part["photographs"] else f" ({part['distinct']} repeated)"
    yield f"{part['photographs']} photographs{repeated} {_SETS[on]}{_others(part)}:"
    yield ""
    yield (
        "| side | photographs timed | ms, one at a time | nine in ten below | a second, in bulk "
        "| way of bulk work | faces | peak MB |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for side, found in part["results"].items():
        one, bulk = found["one"], found["bulk"]
        yield (
            f"| {side} | {found['photographs']} | {one['ms_mean']:.1f} "
            f"| {one['ms_9_of_10_below']:.1f} | {bulk['photographs_a_second']:.1f} "
            f"| {bulk['way']} | {found['faces']['one']} | {found.get('peak_mb') or '?'} |"
        )
    tried = {side: found["bulk"]["ways_ms"] for side, found in part["results"].items()}
    said = [
        f"{side}: {', '.join(f'{way} {ms:.1f}' for way, ms in ways.items())}"
        for side, ways in tried.items()
        if len(ways) > 1
    ]
    if said:
        yield ""
        yield f"Ways of bulk work in the trial, milliseconds a photograph: {'; '.join(said)}."


def _others(part: Result) -> str:
    share = part.get("others_used")
    return "" if share is None else f"; other processes had {100 * share:.0f} % of the processors"


def _agreement(result: Result) -> Iterator[str]:
    yield "Do they find the same? Boxes that overlap by more than a half count as one face:"
    yield ""
    yield "| faceprint against | photographs | faces, ours and theirs | matched | mean cosine |"
    yield "|---|---|---|---|---|"
    for on, part in result["sets"].items():
        for row in part["agreement"]:
            cosine = row.get("cosine_mean")
            yield (
                f"| {_against(row)} | {row['photographs']} {_SETS[on]} | {row['faces_ours']} "
                f"and {row['faces_theirs']} | {row['matched']} "
                f"| {'' if cosine is None else f'{cosine:.4f}'} |"
            )


def _costs(result: Result) -> Iterator[str]:
    yield (
        f"Medians of {result['times']} fresh processes. The size is that of site-packages without "
        f"pip and setuptools, compiled modules counted, models that are downloaded later not. "
        f"{_where(result)}"
    )
    yield ""
    yield "| | installed MB | distributions | import, ms | first photograph after, s | |"
    yield "|---|---|---|---|---|---|"
    for name, row in result["environments"].items():
        yield (
            f"| {name} | {row['installed_mb']} | {row['distributions']} | {row['import_ms']} "
            f"| {row['first_answer_s']:.1f} | {row['note']} |"
        )
    for name, why in result["left_out"].items():
        yield ""
        yield f"{name} was left out: {why}"
