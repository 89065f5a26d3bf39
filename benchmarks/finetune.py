"""Fine-tuning a released ONNX model to covered and to small faces, on people it has not seen.

    python benchmarks/finetune.py --aims covered --lfw 5000
    python benchmarks/finetune.py --aims small --model w600k-mbf-dequant

Trained on photographs of LFW's folds 1 to 4 and of two thirds of the people of the FaceScrub half,
without labels; measured on all photographs of the people of LFW's fold 5 and on the other third,
which the seed draws. FNMR is at an FMR of 1 %, each model at its own threshold, all pictures of a
condition with all. Covered: a mask drawn on the photograph by its landmarks. Small: the photograph
shrunk until the face is 16 to 24 pixels wide. Photographs of FaceScrub with a wrong name
(docs/reports/aside-facescrub.txt) are not measured on, as in the reports. Accuracy is that of fold
5's 600 pairs in ten parts, at the threshold that is best on the other nine. Intervals are 95 %,
over people (accuracy: over pairs). --cache keeps crops between calls. Results of other aims stay,
and those of other seeds with the same settings; each row names its commit.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
from _common import RESULTS, ROOT, SHARED, commit, provenance, use_shared_models, write
from _degraded import CONDITIONS, test_crops
from measure_data import read_aside
from numpy.typing import NDArray

from faceprint.evaluation.fold_accuracy import squared_distances
from faceprint.runtime.session import RuntimeOptions, open_session
from faceprint.training.before_after import change_of
from faceprint.training.checkpoint import read_checkpoint
from faceprint.training.finetune import open_original, trainable
from faceprint.training.finetune_defaults import Choices, run_text
from faceprint.training.finetune_table import Finetune
from faceprint.training.live_embedder import INPUT, NetworkSession
from faceprint.training.run import Hooks, train
from faceprint.training.run_file import read_run_file
from faceprint.training.teacher import teacher_vectors
from faceprint.types import Array

LFW, SCRUB = SHARED / "faces" / "lfw", SHARED / "faces" / "facescrub"
SETTINGS = ("model", "layers", "lfw", "epochs", "rate")
FALL, LOSS = 0.25, 0.003
"""What counts: the share of FNMR that must go, and the accuracy that plain LFW may lose."""
BOTH = "both, one threshold"


def main() -> int:
    """Measure, and keep the result. Exit code 1 below the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--aims", nargs="+", choices=CONDITIONS[1:], default=CONDITIONS[1:])
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--model", default="edgeface-xs-dequant")
    parser.add_argument("--layers", default="lora")
    parser.add_argument("--lfw", type=int, default=2400, help="photographs of LFW to train on")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, help="in place of the default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cache", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        cache = given.cache or Path(place)
        use_shared_models(cache)
        rows = [_row(given, cache, aim, seed) for aim in given.aims for seed in given.seeds]
    return _keep(rows)


def _row(given: Any, cache: Path, aim: str, seed: int) -> dict[str, Any]:
    names, pairs = _fold_five()
    scrub = sorted(path for path in SCRUB.iterdir() if path.is_dir())
    drawn = np.random.default_rng((seed, 4)).permutation(len(scrub))
    held = {scrub[i].name for i in drawn[: len(scrub) // 3]}
    sets = {
        "LFW, fold 5": test_crops(cache, "lfw", LFW, lambda name: name in names),
        "FaceScrub, held out": test_crops(cache, "scrub", SCRUB, lambda name: True),
    }
    people = _people(cache, names, held, given.lfw, seed)
    out = cache / f"run-{given.model}-{given.layers}-{aim}-{seed}"
    shutil.rmtree(out, ignore_errors=True)
    tuned = Finetune(given.model, aim, given.layers, hold_out=0.0)
    choices = Choices(
        people,
        out,
        tuned,
        seed,
        given.epochs,
        detector="yunet-2023mar",
        threads=given.threads,
    )
    out.mkdir(parents=True)
    (out / "run.toml").write_text(run_text(choices), "utf-8")
    run = read_run_file(out / "run.toml")
    run = replace(run, data=replace(run.data, store=cache / "crops", embedder=given.model))
    if given.rate is not None:
        run = replace(run, schedule=replace(run.schedule, rate=given.rate))
    start = time.process_time()
    outcome = train(run, Hooks(log=lambda line: print(line, file=sys.stderr, flush=True)))
    seconds = time.process_time() - start

    original = open_original(given.model)
    network = trainable(original, tuned)
    network.load_state_dict(read_checkpoint(outcome.checkpoint).state["network"])
    live = NetworkSession(network, "cpu", original.card.dim or 0)
    trained = replace(original.card, input=INPUT)
    options = RuntimeOptions(threads=given.threads)
    session = open_session(original.file, runtime="onnxruntime", options=options)
    row: dict[str, Any] = {
        "aim": aim,
        "seed": seed,
        **{key: getattr(given, key) for key in SETTINGS},
        "commit": commit(),
        "people": outcome.people,
        "photographs": outcome.photographs,
        "updates": outcome.updates,
        "loss": outcome.loss,
        "cpu_seconds": round(seconds),
        "changes": [],
    }
    both: dict[str, list[tuple[Array, Array, NDArray[np.str_]]]] = {"plain": [], aim: []}
    for name, (crops, pictures) in sets.items():
        subjects = np.asarray([picture.split("/")[0] for picture in pictures])
        chosen = np.ones(len(pictures), bool)
        if name.startswith("Face"):
            wrong = read_aside(ROOT / "docs" / "reports" / "aside-facescrub.txt")
            chosen = np.isin(subjects, list(held)) & ~np.isin(pictures, list(wrong))
        for condition, seen in both.items():
            before = _cached(
                cache / f"{name[:3]}-{condition}-{given.model}.npy",
                lambda c=condition, crops=crops: teacher_vectors(session, original.card, crops[c]),
            )
            after = teacher_vectors(live, trained, crops[condition][chosen])
            change = change_of(condition, (before[chosen], after), _numbers(subjects[chosen]))
            row["changes"].append({"data_set": name, **asdict(change)})
            seen.append((before[chosen], after, subjects[chosen]))
            if name.startswith("LFW") and condition == "plain":
                row["accuracy"] = _accuracy(before, after, pictures, pairs)
    for condition, seen in both.items():
        first, second, subjects = (np.concatenate(each) for each in zip(*seen, strict=True))
        change = change_of(condition, (first, second), _numbers(subjects))
        row["changes"].append({"data_set": BOTH, **asdict(change)})
    print(json.dumps(row), file=sys.stderr, flush=True)
    return row


def _fold_five() -> tuple[set[str], list[tuple[str, str, bool]]]:
    """The people of the fifth fold, and its pairs by the pictures' names."""
    lines = (SHARED / "faces" / "lfw_pairs.txt").read_text("utf-8").split("\n")[1:]
    pairs = []
    for words in (line.split("\t") for line in lines[2400:3000]):
        other = words[0] if len(words) == 3 else words[2]
        names = [
            f"{who}/{who}_{int(n):04}.jpg" for who, n in ((words[0], words[1]), (other, words[-1]))
        ]
        pairs.append((names[0], names[1], len(words) == 3))
    return {name.split("/")[0] for pair in pairs for name in pair[:2]}, pairs


def _people(cache: Path, names: set[str], held: set[str], count: int, seed: int) -> Path:
    """A folder per person to train on."""
    folder = cache / f"people-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    lfw = [path for path in sorted(LFW.glob("*/*.jpg")) if path.parent.name not in names]
    drawn = np.random.default_rng((seed, 5)).permutation(len(lfw))[:count]
    scrub = [path for path in sorted(SCRUB.glob("*/*")) if path.parent.name not in held]
    for path in [lfw[i] for i in drawn] + scrub:
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / path.parent.name / path.name)
    return folder


def _cached(path: Path, make: Any) -> Array:
    if not path.exists():
        np.save(path, make())
    return np.asarray(np.load(path))


def _numbers(subjects: NDArray[np.str_]) -> NDArray[np.int64]:
    return np.unique(subjects, return_inverse=True)[1].astype(np.int64)


def _accuracy(
    before: Array, after: Array, pictures: list[str], pairs: list[tuple[str, str, bool]]
) -> dict[str, float]:
    """Accuracy of both on fold 5's pairs, and the interval of its change."""
    place = {name: i for i, name in enumerate(pictures)}
    known = [pair for pair in pairs if pair[0] in place and pair[1] in place]
    left = np.asarray([place[a] for a, _, _ in known])
    right = np.asarray([place[b] for _, b, _ in known])
    mated = np.asarray([same for _, _, same in known])
    calls = [_right(squared_distances(each, left, right), mated) for each in (before, after)]
    difference = calls[1].astype(float) - calls[0]
    drawn = np.random.default_rng(0).integers(0, len(known), (2000, len(known)))
    low, high = np.quantile(difference[drawn].mean(axis=1), (0.025, 0.975)).tolist()
    return {
        "pairs": len(known),
        "before": float(calls[0].mean()),
        "after": float(calls[1].mean()),
        "low": low,
        "high": high,
    }


def _right(distances: NDArray[np.float64], mated: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,) whether each pair is called rightly at the threshold best on the other nine parts."""
    part = np.arange(len(mated)) % 10
    right = np.zeros(len(mated), np.bool_)
    grid = np.arange(0, 4, 0.01)
    for number in range(10):
        here = part == number
        others = (distances[~here, None] < grid) == mated[~here, None]
        best = grid[int(others.mean(axis=0).argmax())]
        right[here] = (distances[here] < best) == mated[here]
    return right


def _keep(rows: list[dict[str, Any]]) -> int:
    """Write the rows beside those of other aims, and of other seeds with the same settings."""
    path = RESULTS / "finetune.json"
    if path.exists():
        new = {row["aim"]: row for row in rows}
        done = {(row["aim"], row["seed"]) for row in rows}
        for row in json.loads(path.read_text("utf-8"))["rows"]:
            other = new.get(row["aim"], row)
            same = all(row[key] == other[key] for key in SETTINGS)
            if same and (row["aim"], row["seed"]) not in done:
                rows.append(row)
    rows.sort(key=lambda row: (row["aim"], row["seed"]))
    summary = [_summary(aim, rows) for aim in sorted({row["aim"] for row in rows})]
    result = {
        "claim": "fine-tuned to covered or small faces without labels, FNMR at FMR 1 % of these "
        "faces of people never seen falls by a quarter, and plain LFW loses at most 0.3 points",
        **provenance("torch", "onnx"),
        "summary": summary,
        "rows": rows,
    }
    write("finetune", result)
    return 0 if all(each["passed"] for each in summary) else 1


def _summary(aim: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The means over seeds."""
    own = [row for row in rows if row["aim"] == aim]
    lost = float(np.mean([row["accuracy"]["before"] - row["accuracy"]["after"] for row in own]))
    falls = {}
    for name in sorted({change["data_set"] for row in own for change in row["changes"]}):
        changes = [
            change
            for row in own
            for change in row["changes"]
            if (change["data_set"], change["condition"]) == (name, aim)
        ]
        before, after = (float(np.mean([c[key] for c in changes])) for key in ("before", "after"))
        falls[name] = {"before": before, "after": after, "fall": 1 - after / before}
    passed = lost <= LOSS and all(each["fall"] >= FALL for each in falls.values())
    return {
        "aim": aim,
        **{key: own[0][key] for key in SETTINGS},
        "seeds": [row["seed"] for row in own],
        "fnmr": falls,
        "accuracy_lost": lost,
        "passed": passed,
    }


if __name__ == "__main__":
    sys.exit(main())
