"""int8 against float32 on this processor: the ratio, what LFW loses, and the guard's decision.

The starter embedder and w600k-mbf (its weights, dequantized) are judged on LFW's pairs; IResNet-18
and -50 have random weights, so that only their speed and how far they stray from float32 are told.

    python benchmarks/int8.py [--pairs FILE] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from _common import SHARED, provenance, use_shared_models, write
from onnx_graphs import R100_WIDTHS, iresnet, save

from faceprint import _cpu

RANDOM = {"iresnet18": (2, 2, 2, 2), "iresnet50": (3, 4, 14, 3)}
JUDGED = ("dlib-resnet", "w600k-mbf-dequant")
BAR = 1.7 if _cpu.multiplies_int8() else 1.4


def main() -> int:
    """Exit code 1 where an IResNet is slower than the bar of this processor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, default=SHARED / "faces" / "lfw_pairs.txt")
    parser.add_argument("--only", nargs="*", default=[*JUDGED, *RANDOM])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        cards = {card.id: card for card in use_shared_models(folder)}
        for name in set(RANDOM).intersection(chosen.only):
            _register_random(name, cards["w600k-mbf-dequant"], folder / "cards")
        models = [_measure(name, folder, chosen.pairs) for name in chosen.only]
    slow = [m["model"] for m in models if m["model"] in RANDOM and m["speed"]["ratio"] < BAR]
    result = {
        "claim": f"an IResNet in int8 is at least {BAR} x as fast as float32 on this processor",
        **provenance("onnx"),
        "cpu_flags": _cpu.cpu_flags(),
        "models": models,
        "passed": not slow,
    }
    write("int8", result)
    return 1 if slow else 0


def _measure(name: str, folder: Path, pairs: Path) -> dict[str, Any]:
    from faceprint.training.quantization_trial import TrialOptions, run_trial
    from faceprint.training.quantize import decide

    trial = run_trial(
        name,
        f"{name}-int8",
        folder / f"{name}-int8.onnx",
        SHARED / "faces" / "lfw",
        pairs if name in JUDGED else None,
        options=TrialOptions(),
    )
    decision = decide(trial.ratio, trial.accuracy)
    print(f"{name}: {trial.ratio:.2f} x, {trial.accuracy}, {decision}", file=sys.stderr)
    return {
        "model": name,
        "reduce_range": trial.reduce_range,
        "bytes": trial.file.stat().st_size,
        "speed": {**trial.speed, "ratio": trial.ratio},
        "agreement": asdict(trial.agreement),
        "pairs": trial.pairs,
        "accuracy": trial.accuracy,
        "lost_points": None
        if trial.accuracy is None
        else 100 * (trial.accuracy[0] - trial.accuracy[1]),
        "decision": asdict(decision),
    }


def _register_random(name: str, like: Any, folder: Path) -> None:
    """Add a graph of random weights to the catalog, fed 0..255 as ArcFace's own graphs are."""
    from faceprint.zoo import catalog, store
    from faceprint.zoo.card import ModelFile
    from faceprint.zoo.card_text import card_toml

    graph = iresnet(units=RANDOM[name], widths=R100_WIDTHS, side=112, dim=512)
    path = save(graph, folder / f"{name}.onnx")
    file = ModelFile(path.name, store.file_sha256(path), path.stat().st_size)
    fed = replace(like.input, mean=(0.0,) * 3, std=(1.0,) * 3, normalized_inside=True)
    card = replace(like, id=name, title=name, dim=512, files=(file,), input=fed)
    toml = folder / f"{name}.toml"
    toml.write_text(card_toml(card), "utf-8")
    catalog.add_card(toml, replace=True)
    store.adopt(card, folder)


if __name__ == "__main__":
    sys.exit(main())
