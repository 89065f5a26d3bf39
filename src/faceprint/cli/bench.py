"""`faceprint bench`: what this machine does."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceprint import __version__, _cpu, settings
from faceprint.cli import options
from faceprint.cli.exit_codes import DONE
from faceprint.cli.output import note, print_json, say

if TYPE_CHECKING:
    from faceprint.evaluation.speed import PackSpeed, SpeedRequest

__all__ = ["bench"]

_USUAL = "starter"
_BUSY = 0.3
"""Load per core above which other programs cost the measurement speed."""


@options.with_model_options(*options.STREAM)
def bench(
    seconds: Annotated[
        float,
        typer.Option("--seconds", metavar="S", min=0.5, help="Length of each pack's stream."),
    ] = 6.0,
    templates: Annotated[
        int,
        typer.Option(
            "--templates", metavar="N", min=1, max=2_000_000, help="Size of the gallery to search."
        ),
    ] = 100_000,
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Measure this machine on the sample photographs, and print a table to post.

    It measures the starter pack, and the pack of your choice. Figures are medians.
    JSON: version, date, cpu, cpu_flags, cores, platform, python, runtime_versions{}, load (before,
    null: unknown), busy, packs[]: pack, detector, embedder, runtime, processes,
    photographs_a_second{median, low, high}, photograph_ms, faces_a_second, search_ms,
    probes_a_second, templates, dim, memory_mb (null: unknown), open_s.
    """
    from faceprint.evaluation.speed import measure

    requests = _requests(models, seconds, templates)
    cores = models.threads or settings.available_cores()
    machine = _machine(cores)
    if machine["busy"]:
        note(
            f"the machine is busy: load {machine['load']:.1f} on {cores} cores; figures are too low"
        )
    found = []
    for name, request in requests.items():

        def stage(what: str, name: str = name) -> None:
            note(f"{name}: {what}")

        found.append(measure(request, stage))
    if as_json:
        print_json(machine | {"packs": [asdict(pack) for pack in found]})
        return DONE
    for line in _table(found):
        say(line)
    say("")
    for line in _about(machine, found):
        say(line)
    return DONE


def _requests(
    models: options.ModelOptions, seconds: float, templates: int
) -> dict[str, SpeedRequest]:
    """By name: the starter pack, and what the options and FACEPRINT_PACK name.

    Raises:
        ModelError: a model that is not here and can't be downloaded.
    """
    from faceprint.evaluation.speed import SpeedRequest
    from faceprint.vision.load import LoadOptions, resolve
    from faceprint.zoo import store

    device = models.chosen_device()
    # Refused here, and not by the process that measures.
    LoadOptions(runtime=models.runtime, device=device, processes=models.processes)
    requests = {}
    for chosen in ((_USUAL, None, None), (models.pack, models.detector, models.embedder)):
        name, *cards = resolve(*chosen)
        for card in cards:
            store.ensure(card, accept_license=models.accept_license)
        requests[name] = SpeedRequest(
            *chosen,
            runtime=models.runtime,
            device=device,
            threads=models.threads,
            processes=models.processes,
            accept_license=models.accept_license,
            seconds=seconds,
            templates=templates,
        )
    return requests


def _machine(cores: int) -> dict[str, Any]:
    from faceprint.evaluation.provenance import distribution_versions

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "version": __version__,
        "date": time.strftime("%Y-%m-%d"),
        "cpu": _cpu.cpu_name(),
        "cpu_flags": _cpu.cpu_flags(),
        "cores": cores,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "runtime_versions": distribution_versions(),
        "load": None if load is None else round(load, 2),
        "busy": load is not None and load > _BUSY * cores,
    }


def _table(packs: list[PackSpeed]) -> list[str]:
    """Lines of a Markdown table, a column per pack."""
    rows = [
        ("photographs a second", [_rate(pack) for pack in packs]),
        ("one photograph, ms", [f"{pack.photograph_ms:.1f}" for pack in packs]),
        ("faces a second, embedder alone", [f"{pack.faces_a_second:.0f}" for pack in packs]),
        (f"search among {packs[0].templates:,}, ms", [f"{pack.search_ms:.1f}" for pack in packs]),
        ("probes a second, 64 at once", [f"{pack.probes_a_second:.0f}" for pack in packs]),
        ("memory, MB", ["" if p.memory_mb is None else f"{p.memory_mb:.0f}" for p in packs]),
        ("opening the models, s", [f"{pack.open_s:.2f}" for pack in packs]),
    ]
    head = ["", *(pack.pack for pack in packs)]
    lines = [head, ["---"] * len(head), *([name, *cells] for name, cells in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _rate(pack: PackSpeed) -> str:
    rate = pack.photographs_a_second
    digits = 0 if rate.median >= 20 else 1
    return f"{rate.median:.{digits}f} ({rate.low:.{digits}f} to {rate.high:.{digits}f})"


def _about(machine: dict[str, Any], packs: list[PackSpeed]) -> list[str]:
    """What the table stands on."""
    versions = ", ".join(
        f"{name} {version}" for name, version in machine["runtime_versions"].items() if version
    )
    load = "load unknown" if machine["load"] is None else f"load {machine['load']:.1f} before"
    busy = ", busy" if machine["busy"] else ""
    shared = max(pack.processes for pack in packs)
    return [
        f"{machine['cpu']}, {machine['cores']} cores, {load}{busy}; {packs[0].runtime}, "
        f"{shared} {'process' if shared == 1 else 'processes'}",
        f"faceprint {machine['version']}, Python {machine['python']}, {versions}; "
        f"{machine['platform']}, {machine['date']}",
    ]
