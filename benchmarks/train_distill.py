"""Distillation: how much of its teacher a student of half the multiplications keeps.

    python benchmarks/train_distill.py [--teacher w600k-mbf-dequant] [--minutes 40]

The student is the teacher pruned, to the largest width, in steps of 1/64, at which it has at most
half the teacher's multiplications. It learns the teacher's embeddings on the crops of LFW's folds 1
to 4 and of half of FaceScrub, whose names it does not see. It is judged before and after, beside
its teacher, on all pairs of the people of fold 5, by TAR at FAR 1e-2 with intervals over people.
The epochs are what the machine does in the minutes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from _common import ROOT, provenance, use_shared_models, write
from _held_out import Crops, folders, read

from faceprint.evaluation.labeled_scores import all_pairs
from faceprint.evaluation.metrics import roc, tar_at_far
from faceprint.training.checkpoint import read_checkpoint
from faceprint.training.distillation import pruned_student
from faceprint.training.finetune import open_original, trainable
from faceprint.training.live_embedder import INPUT, NetworkSession
from faceprint.training.prune import prune
from faceprint.training.run import train
from faceprint.training.run_file import read_run_file
from faceprint.vision.embed import VectorEmbedder
from faceprint.vision.load import LoadOptions, load_embedder
from faceprint.zoo.catalog import get_card

OUT = ROOT / "build" / "train-distill"
FAR = 1e-2
LIMIT = 0.5
ALLOWED = 0.03
TRIAL = 10
"""The speed is that of twice as many updates after these."""

RUN = """
out = "run"
[data]
folder = "{folder}"
store = "crops"
aligned = true
[network]
name = "pruned"
width = {width}
dim = {dim}
[distill]
teacher = "{teacher}"
relational = 1.0
[augmentation]
flip = 0.5
color = 0.2
blur = 0.05
low_resolution = 0.1
[schedule]
epochs = {epochs}
batch = 32
optimizer = "adamw"
rate = 5e-3
warmup_epochs = 0.5
decay = "cosine"
weight_decay = 0.0
log_every = 20
"""


def main() -> None:
    """Train, measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", default="w600k-mbf-dequant")
    parser.add_argument("--minutes", type=float, default=40)
    given = parser.parse_args()
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    use_shared_models(OUT)
    people, judged = folders()
    card = get_card(given.teacher)
    original = open_original(card.id)
    theirs = multiplications(original.file)
    width, ours = _width(original.file, theirs)
    facts: dict[str, Any] = {"folder": people, "width": width, "dim": card.dim, "teacher": card.id}
    begun = time.monotonic()
    _write(facts, 1000)
    train(read_run_file(OUT / "run.toml"), until=TRIAL)  # PyTorch's first updates are slow
    trial = train(read_run_file(OUT / "run.toml"), until=3 * TRIAL)
    line = json.loads((OUT / "run" / "log.jsonl").read_text("utf-8").splitlines()[-1])
    shutil.rmtree(OUT / "run")
    left = 60 * given.minutes - (time.monotonic() - begun)
    epochs = max(1, int(left * line["images_per_second"] / trial.photographs))
    _write(facts, epochs)
    run = read_run_file(OUT / "run.toml")
    started = time.monotonic()
    outcome = train(run)
    seconds = time.monotonic() - started
    crops = read(judged)
    teacher = load_embedder(card, LoadOptions())
    rows = [
        {"name": card.id, "multiplications": theirs, **_measured(teacher.embed(crops.crops), crops)}
    ]
    student = trainable(pruned_student(run))
    for name, weights in (("pruned", None), ("pruned, and learned on", outcome.checkpoint)):
        if weights is not None:
            student.load_state_dict(read_checkpoint(weights).state["network"])
        session = NetworkSession(student, torch.device("cpu"), run.network.dim)
        found = VectorEmbedder(session, replace(card, input=INPUT)).embed(crops.crops)
        rows.append({"name": name, "multiplications": ours, **_measured(found, crops)})
    result = {
        "what": "TAR of a student of half the multiplications, on people of LFW's fold 5",
        "far": FAR,
        "faces": outcome.photographs,
        "epochs": epochs,
        "minutes": round(seconds / 60, 2),
        "threads": torch.get_num_threads(),
        "loss": outcome.loss,
        "width": width,
        "lost": round(rows[0]["tar"] - rows[-1]["tar"], 4),
        "within": rows[0]["tar"] - rows[-1]["tar"] <= ALLOWED,
        "rows": rows,
    }
    write("train_distill", result | provenance("torch"))


def multiplications(graph: Path) -> int:
    """Multiplications of a graph's convolutions and matrix products, for one crop."""
    model = onnx.load(graph)
    batch = model.graph.input[0].type.tensor_type.shape.dim[0]
    batch.Clear()
    batch.dim_value = 1
    del model.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        each.name: [dim.dim_value for dim in each.type.tensor_type.shape.dim]
        for each in (*inferred.value_info, *inferred.output)
    }
    weights = {each.name: list(each.dims) for each in inferred.initializer}
    total = 0
    for node in inferred.node:
        if node.op_type == "Conv":
            total += int(np.prod(shapes[node.output[0]][2:]) * np.prod(weights[node.input[1]]))
        elif node.op_type in ("Gemm", "MatMul") and node.input[1] in weights:
            total += int(np.prod(weights[node.input[1]]))
    return total


def _width(teacher: Path, theirs: int) -> tuple[float, int]:
    blob, path = np.zeros((1, 3, 112, 112), np.float32), OUT / "width.onnx"
    for part in range(48, 0, -1):
        path.write_bytes(prune(teacher, part / 64, blob))
        if (ours := multiplications(path)) <= LIMIT * theirs:
            return part / 64, ours
    raise SystemExit("no student is small enough")


def _write(facts: dict[str, Any], epochs: int) -> None:
    (OUT / "run.toml").write_text(RUN.format(**facts, epochs=epochs), "utf-8")


def _measured(found: Any, crops: Crops) -> dict[str, Any]:
    pairs = all_pairs(np.stack([each.vector for each in found]), crops.people)
    measured = tar_at_far(roc(pairs.similarities, pairs.mated), FAR, pairs)
    return {
        "pairs": len(pairs.mated),
        "mated": int(pairs.mated.sum()),
        "tar": round(measured.tar or 0.0, 4),
        "low": round(measured.low, 4),
        "high": round(measured.high, 4),
    }


if __name__ == "__main__":
    main()
