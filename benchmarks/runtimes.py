"""The five runtimes on the same graphs: agreement, milliseconds, memory, as `models parity` has it.

    python benchmarks/runtimes.py [--model FILE ...] [--r100]     measures
    python benchmarks/runtimes.py --table                         prints what was measured last

Without --model: the starter embedder, and the real embedders of ../shared/models where they are.
--r100 adds LResNet100E-IR with random weights in the zoo's shape of 2018. --table is the table of
docs/runtimes.md, out of benchmarks/results/runtimes.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from _common import RESULTS, SHARED, provenance, write
from onnx_graphs import ZOO, r100, save

import faceprint
from faceprint import settings
from faceprint.runtime.parity import INPUTS, ParityInput, Row, compare
from faceprint.runtime.session import RUNTIMES, RuntimeOptions
from faceprint.zoo import legacy

WEIGHTS = Path(faceprint.__file__).parent / "zoo" / "weights"
IMAGENET = ParityInput(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
PLAIN = ParityInput(mean=(0, 0, 0), std=(1, 1, 1))
MODELS = {
    "dlib-resnet (starter)": (WEIGHTS / "dlib_face_recognition_resnet_v1.onnx", ParityInput()),
    "mobileface": (SHARED / "models" / "mobilefacenet_foamliu.onnx", IMAGENET),
    "w600k-mbf": (SHARED / "models" / "w600k_mbf_dequant.onnx", ParityInput()),
    "edgeface-xs": (SHARED / "models" / "edgeface_xs_dequant.onnx", ParityInput()),
}


def main() -> int:
    """Exit code 1 where a runtime disagrees."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--r100", action="store_true")
    chosen = parser.parse_args()
    if chosen.table:
        print(_table(json.loads((RESULTS / "runtimes.json").read_text(encoding="utf-8"))))
        return 0
    models = {name: (Path(name), ParityInput()) for name in chosen.model} or {
        name: item for name, item in MODELS.items() if item[0].is_file()
    }
    with tempfile.TemporaryDirectory() as folder:
        if chosen.r100:
            models["R100, legacy"] = (save(r100(ZOO), Path(folder) / "r100.onnx"), PLAIN)
        tables = {name: _rows(*item) for name, item in models.items()}
    agreed = all(row.state != "disagrees" for rows in tables.values() for row in rows)
    plain = {name: [asdict(row) for row in rows] for name, rows in tables.items()}
    about = provenance("openvino", "torch", "onnx")
    write("runtimes", {**about, "inputs": INPUTS, "models": plain, "passed": agreed})
    return 0 if agreed else 1


def _rows(path: Path, given: ParityInput) -> list[Row]:
    prepared = legacy.prepare(path, settings.home() / "prepared")
    return list(compare(prepared, RUNTIMES, RuntimeOptions(), given))


def _table(result: dict[str, Any]) -> str:
    lines = [
        f"{result['cpu']}, {result['cores']} cores, {result['date']}; inputs: {result['inputs']}.",
        "",
        "| model | runtime | version | largest difference | lowest cosine "
        "| ms, batch 1 | ms, batch 16 | peak MB | load s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, rows in result["models"].items():
        for row in rows:
            start = f"| {name} | {row['runtime']} | {row['version']} "
            if row["min_cosine"] is None or row["max_difference"] is None:
                lines.append(f"{start}| {row['state']} | | | | | |")
                continue
            lines.append(
                f"{start}| {row['max_difference']:.1e} | {row['min_cosine']:.7f} "
                f"| {row['ms_batch1']:.1f} | {row['ms_batch16']:.1f} | {row['peak_mb']:.0f} "
                f"| {row['load_s']:.2f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
