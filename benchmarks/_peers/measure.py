"""One group measured: processes started, photographs dealt out in turns, findings compared."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _peers import envs
from _peers.agree import agreement
from _peers.child import Child, SideFailedError
from _peers.costs import peak_memory
from _peers.machine import Watch
from _peers.plan import Entry, Group, SetPlan, options_of
from _peers.turns import Samples, chunks, fastest_way, fed, ratio, summary, take_turns, turn_order

__all__ = ["Run", "run_group", "start"]

_SHOWN = 200
"""Photographs of LFW on which the sides' faces are compared."""

_CALIBRATED = 48
"""Photographs of LFW on which the ways of bulk work are tried."""


@dataclass(frozen=True)
class Run:
    """What holds for a whole run.

    Attributes:
        photographs: set -> paths, in the order they are taken.
        folders: `weights`, `models`, `home`: local files for peers, the models, FACEPRINT_HOME.
        environments: the folder of the venvs.
        memory: photographs of LFW in the bulk run whose memory is read.
    """

    photographs: dict[str, list[Path]]
    folders: dict[str, Path]
    environments: Path
    memory: int


def start(entry: Entry, run: Run) -> Child:
    """The entry's process, models loaded.

    Raises:
        SideFailedError: the environment can't be made, or the peer can't be loaded.
    """
    try:
        envs.make(entry.peer, run.environments)
    except envs.NotMadeError as error:
        raise SideFailedError(f"environment: {error}") from error
    options = json.dumps(options_of(entry, run.folders))
    python = envs.python_of(entry.peer, run.environments)
    return Child(python, [entry.peer, options], variables(entry.peer, run))


def variables(peer: str, run: Run) -> dict[str, str]:
    """The environment variables of a side's process."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("FACEPRINT_", "PYTHON"))
    }
    if peer == "faceprint":
        kept["PYTHONPATH"] = str(envs.ROOT / "src")
        kept["FACEPRINT_HOME"] = str(run.folders["home"])
        kept["FACEPRINT_MIRROR"] = str(run.folders["models"])
        kept["FACEPRINT_OFFLINE"] = kept["FACEPRINT_ACCEPT_LICENSE"] = "1"
    return kept


def run_group(group: Group, run: Run, sets: dict[str, SetPlan]) -> dict[str, Any]:
    """The group's JSON, without the provenance."""
    children: dict[str, Child] = {}
    left_out: dict[str, str] = {}
    entries = {entry.name: entry for entry in group.entries}

    def attempt(name: str, work: Callable[[], Any]) -> Any:
        """None, and the side is out, where its process ends."""
        try:
            return work()
        except SideFailedError as error:
            left_out[name] = str(error)
            _say(f"{name} left out: {error}")
            if name in children:
                children.pop(name).close()
            return None

    def begin(entry: Entry) -> None:
        children[entry.name] = start(entry, run)

    result: dict[str, Any] = {"what": group.what, "sides": {}, "sets": {}, "ratios": []}
    try:
        for entry in group.entries:
            attempt(entry.name, lambda entry=entry: begin(entry))
        result["sides"] = {name: child.facts for name, child in children.items()}
        for on, plan in sets.items():
            taking = {
                name: child
                for name, child in children.items()
                if on in entries[name].every and name not in left_out
            }
            result["sets"][on] = _run_set(on, plan, taking, entries, run, attempt)
        shown = _show(children, entries, run, attempt)
    finally:
        for child in children.values():
            child.close()
    for on, part in result["sets"].items():
        _add_memory(on, part, entries, run, attempt)
        part["agreement"] = _agreements(group, on, shown)
        part["fed"] = {
            name: fed(found["inputs"], len(found["photographs"]))
            for (name, where), found in shown.items()
            if where == on and found["inputs"]
        }
        part["stood_in_share"] = {
            name: found["stood_in_share"]
            for (name, where), found in shown.items()
            if where == on and "stood_in_share" in found
        }
        result["ratios"] += _ratios(group, on, part.pop("samples"))
    return {**result, "left_out": left_out}


Attempt = Callable[[str, Callable[[], Any]], Any]


def _run_set(
    on: str,
    plan: SetPlan,
    children: dict[str, Child],
    entries: dict[str, Entry],
    run: Run,
    attempt: Attempt,
) -> dict[str, Any]:
    paths = run.photographs[on]
    for path in paths:
        path.read_bytes()  # from memory for every side, the first one too
    trial = paths[: min(plan.turn, _CALIBRATED)] if on == "lfw" else paths[:12]
    ways: dict[str, tuple[str, dict[str, float]]] = {}
    for name, child in children.items():
        if not attempt(name, lambda child=child: child.ask("one", trial[:4])):
            continue  # its process has ended
        skipped = entries[name].slow_ways.get(on, ())
        found = attempt(name, lambda c=child, s=skipped: fastest_way(c, trial, s))
        if found:
            ways[name] = found
            _say(f"{on}: {name}: {found[1]}")
    samples = {name: Samples() for name in ways}
    watch = Watch(child.pid for child in children.values())
    for index, chunk in enumerate(chunks(paths, plan.turn, plan.rounds)):
        takers = [name for name in samples if index % entries[name].every[on] == 0]
        for name in turn_order(takers, index):
            if name in samples:
                args = (children.get(name), samples[name], index, chunk, ways[name][0])
                done = attempt(name, lambda args=args: (take_turns(*args), True))
                if not done:
                    samples.pop(name)
        _say(f"{on}: turn {index + 1}")
    others = watch.others()
    sides = {name: summary(sample) for name, sample in samples.items()}
    for name, side in sides.items():
        way, tried = ways[name]
        side["bulk"] |= {"way": way, "ways_ms": tried}
    about = {"photographs": len(paths), "distinct": len(set(paths)), "in_a_turn": plan.turn}
    about |= {"rounds": plan.rounds, "others_used": others}
    return {**about, "results": sides, "samples": samples}


def _show(
    children: dict[str, Child], entries: dict[str, Entry], run: Run, attempt: Attempt
) -> dict[tuple[str, str], dict[str, Any]]:
    """What `show` answers, by side and set, of the photographs that are compared."""
    shown = {}
    for name, child in list(children.items()):
        for on in entries[name].every:
            if on in run.photographs:
                paths = _compared(on, run)
                found = attempt(name, lambda c=child, p=paths: c.ask("show", p))
                if found:
                    shown[name, on] = found
    return shown


def _compared(on: str, run: Run) -> Sequence[Path]:
    distinct = list(dict.fromkeys(run.photographs[on]))
    return distinct[:: max(1, len(distinct) // _SHOWN)][:_SHOWN]


def _agreements(group: Group, on: str, shown: dict[tuple[str, str], Any]) -> list[dict[str, Any]]:
    return [
        {
            "ours": pair.ours,
            "theirs": pair.theirs,
            **agreement(*(shown[name, on]["photographs"] for name in (pair.ours, pair.theirs))),
        }
        for pair in group.pairs
        if pair.on == on and (pair.ours, on) in shown and (pair.theirs, on) in shown
    ]


def _add_memory(
    on: str, part: dict[str, Any], entries: dict[str, Entry], run: Run, attempt: Attempt
) -> None:
    paths = run.photographs[on][: run.memory] if on == "lfw" else run.photographs[on]
    part["memory_photographs"] = len(paths)
    for name, side in part["results"].items():
        way = side["bulk"]["way"]
        peak = attempt(
            name, lambda n=name, w=way: peak_memory(lambda: start(entries[n], run), paths, w)
        )
        side["peak_mb"] = None if peak is None else round(peak / 1e6)


def _ratios(group: Group, on: str, samples: dict[str, Samples]) -> list[dict[str, Any]]:
    rows = []
    for pair in group.pairs:
        if pair.on != on:
            continue
        for mode in ("one", "bulk"):
            sides = [samples.get(name) for name in (pair.ours, pair.theirs)]
            ours, theirs = (side.seconds(mode) if side else {} for side in sides)
            found = ratio(ours, theirs)
            bar = pair.bars.get(mode)
            row: dict[str, Any] = {"ours": pair.ours, "theirs": pair.theirs, "on": on, "mode": mode}
            row |= {"times_as_fast": found, "at_least": bar}
            row["holds"] = None if found is None or bar is None else found["median"] >= bar
            rows.append(row | ({"note": pair.note} if pair.note else {}))
    return rows


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
