"""An accelerator against the same machine's CPU: photographs a second, the embedder, agreement.

    FACEPRINT_SHARED=DIR python benchmarks/accelerator.py --device cuda
    python benchmarks/accelerator.py --device cpu --photographs 8 --seconds 0.5 --size small

End to end: `analyze_many` over photographs of LFW (the samples without them), for each pack whose
models are here, with one process and with several; and the share of its bare network's rate that
the embedder reaches. The network: IResNet-50 with random weights, as large as buffalo_l's embedder,
by crops per call. Agreement: every embedder that is here, on the device against the CPU.
The result of a device other than the CPU is kept under benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _common import median, provenance, rotate, write
from _photographs import lfw
from onnx_graphs import MODERN, R100_WIDTHS, iresnet, save
from runtimes import MODELS

import faceprint
from faceprint import settings
from faceprint.errors import FaceprintError
from faceprint.evaluation.speed import samples, stream_rate
from faceprint.runtime.parity import ParityInput, compare, make_blob
from faceprint.runtime.session import RuntimeOptions, open_session
from faceprint.vision.analyzer import FaceAnalyzer
from faceprint.vision.embed import ON_ACCELERATOR
from faceprint.vision.preprocess import to_blob
from faceprint.zoo import catalog, legacy, packs, store

R50_UNITS = (3, 4, 14, 3)
BATCHES = (1, 16, 64, 256)


def main() -> int:
    """Exit code 1 where an embedder disagrees, 4 where the device is not there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--photographs", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=10, help="of each stream, about")
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--size", choices=["full", "small"], default="full", help="of the network")
    chosen = parser.parse_args()
    try:
        network = _network(chosen.device, small=chosen.size == "small")
    except FaceprintError as error:
        print(error, file=sys.stderr)
        return 4
    agreement = _agreement(chosen.device)
    result: dict[str, Any] = {
        "what": "an accelerator against the CPU",
        "device": chosen.device,
        "network": network,
        "end_to_end": _end_to_end(chosen),
        "agreement": agreement,
        "passed": all(row["state"] == "agrees" for row in agreement.values()),
        **provenance("onnxruntime-gpu", "pillow"),
    }
    if chosen.device == "cpu":
        print(json.dumps(result, indent=2))
    else:
        write("accelerator", result)
    return 0 if result["passed"] else 1


def _network(device: str, *, small: bool) -> dict[str, Any]:
    """Faces a second of the bare network by batch, on the device and on the CPU, in turn."""
    devices = dict.fromkeys([device, "cpu"])
    rates: dict[str, dict[str, float]] = {name: {} for name in devices}
    with tempfile.TemporaryDirectory() as folder:
        units = (1, 1, 1, 1) if small else R50_UNITS
        graph = iresnet(MODERN, units=units, widths=R100_WIDTHS, side=112, dim=512)
        path = save(graph, Path(folder) / "r50.onnx")
        sessions = {
            name: open_session(path, runtime="onnxruntime", options=RuntimeOptions(device=name))
            for name in devices
        }
        for batch in BATCHES[:2] if small else BATCHES:
            blob = make_blob(path, ParityInput(mean=(0, 0, 0), std=(1, 1, 1)), count=batch)
            sides = {name: partial(session.run, blob) for name, session in sessions.items()}
            for name, times in rotate(sides, 3).items():
                rates[name][str(batch)] = round(batch / median(times), 1)
        nodes = sessions[device].info.nodes
    model = f"IResNet of {2 * sum(units)} convolutions in blocks, random weights"
    return {"model": model, "faces_a_second": rates, "nodes": nodes}


def _end_to_end(chosen: argparse.Namespace) -> dict[str, Any]:
    """Photographs a second by pack and device; the CPU with as many processes as it takes."""
    paths = lfw(chosen.photographs) or samples()
    found: dict[str, Any] = {"photographs": len(paths), "packs": {}}
    for pack in packs.all_packs():
        if not all(store.is_ready(catalog.get_card(i)) for i in (pack.detector, pack.embedder)):
            continue
        rates = {}
        for device in dict.fromkeys(["cpu", chosen.device]):
            for processes in [None] if device == "cpu" else chosen.processes:
                fp = faceprint.load(pack.name, device=device, processes=processes)
                figures = asdict(stream_rate(fp, paths, chosen.seconds)) | _share(fp, paths)
                rates[f"{device}, {fp.processes} processes"] = figures
        found["packs"][pack.name] = rates
    return found


def _share(fp: FaceAnalyzer, paths: list[Path]) -> dict[str, float]:
    """Faces a second of the embedder, from crops to vectors, and of its bare network."""
    faces = [face for path in paths[:32] for face in fp.analyze(path, keep_crops=True)]
    crops = np.stack([face.crop for face in faces if face.crop is not None])
    number = 16 if fp.device == "cpu" else ON_ACCELERATOR
    some = crops[np.arange(number) % len(crops)]
    blob, embedder = to_blob(some, fp.embedder_card.input), fp.embedder
    sides = {
        "network": partial(embedder._session.run, blob),
        "embedder": partial(embedder.raw, some),
    }
    rates = {name: number / median(times) for name, times in rotate(sides, 7).items()}
    return {
        "faces_a_photograph": len(faces) / len(paths[:32]),
        "network_faces_a_second": rates["network"],
        "embedder_faces_a_second": rates["embedder"],
        "embedder_share_of_network": rates["embedder"] / rates["network"],
    }


def _agreement(device: str) -> dict[str, Any]:
    """The row of each embedder on the device; those of ../shared/models too."""
    graphs = {name: item for name, item in MODELS.items() if item[0].is_file()}
    for name in catalog.card_ids():
        card = catalog.get_card(name)
        if card.task == "embed" and store.is_ready(card):
            plain = card.input.normalized_inside
            given = (
                ParityInput() if plain else ParityInput(mean=card.input.mean, std=card.input.std)
            )
            graphs[name] = store.ensure(card)["model"], given
    rows = {}
    for name, (path, given) in graphs.items():
        prepared = legacy.prepare(path, settings.home() / "prepared")
        options = RuntimeOptions(device=device)
        *_, row = compare(prepared, ["onnxruntime"], options, given, seconds=1)
        rows[name] = asdict(row)
        print(f"{name}: {row.state}", file=sys.stderr)
    return rows


if __name__ == "__main__":
    sys.exit(main())
