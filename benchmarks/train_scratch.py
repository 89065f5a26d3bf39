"""From scratch on a CPU in 20 minutes: a narrow MobileFaceNet against PCA, on people never seen.

    python benchmarks/train_scratch.py [--minutes 20]

Trained with `faceprint train` on the people of LFW's folds 1 to 4 and of half of FaceScrub, with
two photographs or more each; no model that others trained looks at the crops, apart from the
detector that aligned them. The number of epochs is what the machine does in the minutes, by the
speed of the first updates. Judged on the pairs of fold 5. The baseline is PCA of gray crops of
56x56 pixels, with and without whitening, its dimension and threshold chosen on folds 1 to 4. So
that nobody's threshold comes from its own training people alone, `accuracy` takes the best
threshold of one half of fold 5 for the other half, for all methods; `from_training_folds` takes
that of folds 1 to 4.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from _common import ROOT, provenance, write
from _held_out import Crops, Pairs, folders, pairs, read, scores
from numpy.typing import NDArray

from faceprint.evaluation.intervals import wilson
from faceprint.training.checkpoint import read_checkpoint
from faceprint.training.live_embedder import NetworkSession
from faceprint.training.networks import build, parameter_count
from faceprint.training.run import train
from faceprint.training.run_file import RunFile, read_run_file
from faceprint.types import Array

OUT = ROOT / "build" / "train-scratch"
SIDE = 56
DIMENSIONS = (50, 100, 200, 400)
TRIAL = 10
"""The speed is that of twice as many updates after these."""

RUN = """
out = "run"
[data]
folder = "{folder}"
store = "crops"
aligned = true
clean = false
[network]
name = "mobilefacenet"
width = 0.25
dim = 128
[loss]
name = "cosface"
margin = 0.1
scale = 20
[augmentation]
flip = 0.5
color = 0.3
blur = 0.1
low_resolution = 0.1
[schedule]
epochs = {epochs}
batch = 32
rate = 0.05
warmup_epochs = 1.0
decay = "cosine"
weight_decay = 5e-4
log_every = 40
checkpoint_every = 500
"""


def main() -> None:
    """Train, measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    minutes = parser.parse_args().minutes
    people, judged = folders()
    training, held_out = read(people), read(judged)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    begun = time.monotonic()
    train(_run(people, 100), until=TRIAL)  # PyTorch's first updates are slow
    trial = train(_run(people, 100), until=3 * TRIAL)
    line = json.loads((OUT / "run" / "log.jsonl").read_text("utf-8").splitlines()[-1])
    shutil.rmtree(OUT / "run")
    left = 60 * minutes - (time.monotonic() - begun)
    epochs = max(1, int(left * line["images_per_second"] / trial.photographs))
    run = _run(people, epochs)
    started = time.monotonic()
    outcome = train(run)
    seconds = time.monotonic() - started
    state = read_checkpoint(outcome.checkpoint).state["network"]
    rows = [
        _row("PCA, whitened" if white else "PCA", *_pca(training, held_out, white), held_out)
        for white in (False, True)
    ]
    for name, weights in (("network, untrained", None), ("network", state)):
        embedded = [_embed(run, weights, crops) for crops in (training, held_out)]
        known, vectors = scores(embedded[0], pairs(training)), embedded[1]
        rows.append(_row(name, known, vectors, pairs(training), held_out))
    log = [json.loads(line) for line in (run.out / "log.jsonl").read_text("utf-8").splitlines()]
    result: dict[str, Any] = {
        "what": "a narrow MobileFaceNet from scratch on a CPU, judged on LFW's fold 5",
        "run_file": (OUT / "run.toml").read_text("utf-8").replace(str(people), "people"),
        "minutes": round(seconds / 60, 2),
        "threads": torch.get_num_threads(),
        "people": outcome.people,
        "photographs": outcome.photographs,
        "epochs": epochs,
        "updates": outcome.updates,
        "parameters": parameter_count(build("mobilefacenet", dim=128, width=0.25)),
        "pairs": len(pairs(held_out).mated),
        "rows": rows,
        "curve": [[line["epoch"], round(line["loss"], 4)] for line in log],
    }
    write("train_scratch", result | provenance("torch"))


def _run(people: Path, epochs: int) -> RunFile:
    path = OUT / "run.toml"
    path.write_text(RUN.format(folder=people, epochs=epochs), "utf-8")
    return read_run_file(path)


def _embed(run: RunFile, weights: dict[str, Any] | None, crops: Crops) -> Array:
    torch.manual_seed(run.seed)
    network = build("mobilefacenet", dim=run.network.dim, width=run.network.width)
    if weights is not None:
        network.load_state_dict(weights)
    session = NetworkSession(network, torch.device("cpu"), run.network.dim)
    found = []
    for start in range(0, len(crops.crops), 64):
        blob = (crops.crops[start : start + 64].astype(np.float32) - 127.5) / 127.5
        found.append(session.run(np.ascontiguousarray(blob.transpose(0, 3, 1, 2)))[0])
    return np.concatenate(found)


def _pca(training: Crops, held_out: Crops, white: bool) -> tuple[NDArray[np.float64], Array, Pairs]:
    """The scores of folds 1 to 4 and the vectors of fold 5, in the dimension best on the former."""
    known, new = _gray(training.crops), _gray(held_out.crops)
    center = known.mean(axis=0)
    values, directions = np.linalg.eigh(np.cov((known - center).T))
    chosen = pairs(training)
    best: tuple[float, Any, Any] = (0.0, None, None)
    for dimension in DIMENSIONS:
        matrix = directions[:, ::-1][:, :dimension]
        if white:
            matrix = matrix / np.sqrt(values[::-1][:dimension])
        found = scores(np.asarray((known - center) @ matrix), chosen)
        accuracy = float(((found >= _threshold(found, chosen.mated)) == chosen.mated).mean())
        if accuracy > best[0]:
            best = accuracy, found, (new - center) @ matrix
    return best[1], best[2], chosen


def _gray(crops: Array) -> NDArray[np.float64]:
    """(n, SIDE ** 2): crops as one number a pixel, each of mean 0 and deviation 1."""
    small = [
        cv2.resize(
            cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA
        )
        for crop in crops
    ]
    rows = np.stack(small).reshape(len(small), -1).astype(np.float64)
    rows -= rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(rows.std(axis=1, keepdims=True), 1e-6))


def _threshold(found: NDArray[np.float64], mated: NDArray[np.bool_]) -> float:
    """The score from which calling a pair mated is right most often."""
    order = np.argsort(found)
    right = np.concatenate([[0], np.cumsum(np.where(mated[order], -1, 1))])
    place = int(right.argmax())
    return float(found[order[place]]) if place < len(found) else float("inf")


def _row(
    name: str, known: NDArray[np.float64], vectors: Array, chosen: Pairs, held_out: Crops
) -> dict[str, Any]:
    judged = pairs(held_out)
    found, mated = scores(vectors, judged), judged.mated
    first = np.arange(len(mated)) % 2 == 0
    right = np.zeros(len(mated), np.bool_)
    for half in (first, ~first):
        right[~half] = (found[~half] >= _threshold(found[half], mated[half])) == mated[~half]
    taken = (found >= _threshold(known, chosen.mated)) == mated
    low, high = wilson(int(right.sum()), len(right))
    above = (found[mated][:, None] > found[~mated][None]).mean()
    return {
        "name": name,
        "dimension": int(vectors.shape[1]),
        "accuracy": round(float(right.mean()), 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "from_training_folds": round(float(taken.mean()), 4),
        "auc": round(float(above), 4),
    }


if __name__ == "__main__":
    main()
