"""`faceprint doctor`: what is installed, and what really runs."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceprint import __version__, _cpu, settings
from faceprint.cli import options
from faceprint.cli.device_report import device_report
from faceprint.cli.exit_codes import DONE, MISSING
from faceprint.cli.installed import installed
from faceprint.cli.output import print_json, say
from faceprint.errors import FaceprintError

if TYPE_CHECKING:
    from faceprint.runtime.session import SessionInfo

__all__ = ["doctor"]

_EXTRAS = {
    "onnx": "onnx",
    "cuda": "onnxruntime-gpu",
    "openvino": "openvino",
    "torch": "torch",
    "train": "torch",
    "timm": "timm",
    "tensorboard": "tensorboard",
    "ann": "usearch",
    "report": "matplotlib",
    "bulk": "pyarrow",
    "postgres": "psycopg",
    "crypto": "cryptography",
    "cluster": "scikit-learn",
    "ray": "ray",
    "heif": "pillow-heif",
    "server": "fastapi",
    "client": "httpx",
    "video": "av",
}
_BASE = ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "typer", "requests")


@options.with_model_options(*options.MODELS)
def doctor(
    as_json: options.Json = False,
    *,
    models: options.ModelOptions,
) -> int:
    """Show what is installed, which devices really run, and whether the models are intact.

    JSON: version, python, platform, cores, cpu_flags, home, mirror, offline, pack, packages{},
    extras{}, models[]: id, runtime, device, nodes (those that run on it, and all), graph (whether a
    faster equal is opened), ok, problem; devices[]: device, runtime, ready, detail (what it is, or
    what is missing); of this machine: packs[]: name, ready; installed[]: id, task, origin;
    calibrations[]: as calibrate --list.
    """
    report: dict[str, Any] = {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": models.threads or settings.available_cores(),
        "cpu_flags": _cpu.cpu_flags(),
        "home": str(settings.home()),
        "mirror": settings.mirror(),
        "offline": settings.offline(),
        "pack": models.pack or settings.default_pack(),
        "packages": {name: _version(name) for name in _BASE},
        "extras": {extra: _version(name) for extra, name in _EXTRAS.items()},
        "models": _models(models),
        "devices": device_report(),
        **installed(),
    }
    if as_json:
        print_json(report)
    else:
        _print(report)
    return DONE if all(model["ok"] for model in report["models"]) else MISSING


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _models(models: options.ModelOptions) -> list[dict[str, Any]]:
    from faceprint.runtime.session import open_session
    from faceprint.vision.load import resolve
    from faceprint.zoo import store

    _, *cards = resolve(models.pack, models.detector, models.embedder)
    lines = []
    for card in cards:
        line: dict[str, Any] = {"id": card.id, "task": card.task, "ok": True, "problem": None}
        try:
            files = store.ensure(card, accept_license=models.accept_license)
            path = next(iter(files.values()))
            info = open_session(path, runtime=models.runtime, options=models.session()).info
            line |= {"runtime": f"{info.runtime} {info.version}", "device": info.device}
            line["nodes"] = info.nodes
            line["graph"] = _graph(path, info, models.threads)
        except FaceprintError as error:
            line |= {"ok": False, "problem": str(error)}
        lines.append(line)
    return lines


def _graph(path: Path, info: SessionInfo, threads: int | None) -> str:
    from faceprint.zoo import legacy, optimize

    if (info.runtime, info.device) != ("onnxruntime", "cpu"):
        return "as published: graphs are rewritten only for ONNX Runtime on the CPU"
    place = settings.home() / "prepared"
    cores = threads or settings.available_cores()
    return optimize.describe(legacy.prepare(path, place), place, threads=cores)


def _print(report: dict[str, Any]) -> None:
    say(f"faceprint {report['version']}, Python {report['python']}, {report['platform']}")
    flags = ", ".join(report["cpu_flags"]) or "unknown"
    say(f"available cores: {report['cores']}; instruction sets: {flags}")
    say(f"cache and state: {report['home']}")
    if report["mirror"]:
        say(f"mirror: {report['mirror']}")
    if report["offline"]:
        say("offline: no network access")
    say("")
    say("models of this pack")
    for model in report["models"]:
        state = _where(model) if model["ok"] else model["problem"]
        say(f"  {'ok ' if model['ok'] else 'BAD'} {model['id']:<16} {state}")
        if model["ok"]:
            say(f"      {'':<16} {model['graph']}")
    say("")
    say("devices")
    for line in report["devices"]:
        state = "ok " if line["ready"] else "-  "
        say(f"  {state} {line['device']:<16} {line['runtime']}: {line['detail']}")
    say("")
    say("on this machine")
    ready = [pack["name"] for pack in report["packs"] if pack["ready"]]
    others = [pack["name"] for pack in report["packs"] if not pack["ready"]]
    say(f"  packs         {', '.join(ready) or '-'}; not downloaded: {', '.join(others) or '-'}")
    for title, key, name in (
        ("models", "installed", "id"),
        ("calibrations", "calibrations", "name"),
    ):
        names = [
            f"{line[name]} (damaged)" if "error" in line else line[name] for line in report[key]
        ]
        say(f"  {title:<13} {', '.join(names) or '-'}")
    say("")
    say("packages")
    for name, version in report["packages"].items():
        say(f"  {name:<24} {version or 'MISSING'}")
    say("extras (pip install 'faceprint[NAME]')")
    for name, version in report["extras"].items():
        say(f"  {name:<24} {version or '-'}")


def _where(model: dict[str, Any]) -> str:
    where = f"{model['runtime']} on {model['device']}"
    return where if model["nodes"] is None else "{}, {} of {} nodes".format(where, *model["nodes"])
