"""faceprint and its peers on the same photographs, in turn, in one process each.

    python benchmarks/peers.py [GROUP ...] [--quick] [--environments DIR]

Groups: `embeddings` (insightface and uniface with the same two weight files), `dlib`
(face_recognition's way), `mtcnn` (facenet-pytorch and the TensorFlow distribution), `deepface`, and
`costs` (install size, import, first answer). Each writes benchmarks/results/peers_<group>.json.

A side's process lives in an environment of its own (_peers/envs.py makes it), loads its models
once and is then asked for the same photographs as all others, chunk by chunk in turn: one at a
time, and in bulk by whichever of the peer's ways is fastest here. Times are taken inside the
process, from the path of a file to the peer's own result. A peer that can't be installed or loaded
is left out with its reason. What is compared with what: _peers/plan.py.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from _common import SHARED, provenance, write
from _peers import envs
from _peers.child import SideFailedError
from _peers.costs import first_answer, import_seconds
from _peers.measure import Run, run_group, start, variables
from _peers.plan import DEEPFACE, DLIB, EMBEDDINGS, GROUPS, MTCNN, SetPlan
from _photographs import above_a_megapixel, lfw

_REPEATED = 5
_QUICK = {"lfw": SetPlan(25), "large": SetPlan(12)}
_REPRESENTATIVES = {
    "faceprint": DLIB.entries[0],
    "insightface": EMBEDDINGS.entries[1],
    "uniface": EMBEDDINGS.entries[2],
    "deepface": DEEPFACE.entries[1],
    "dlib": DLIB.entries[1],
    "facenet": MTCNN.entries[1],
    "mtcnn": MTCNN.entries[2],
}
"""The side of each environment whose first answer is waited for."""


def main() -> int:
    """Measure the groups that were named, all of them without a name."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join((*GROUPS, "costs")))
    parser.add_argument("--quick", action="store_true", help="few photographs, nothing is written")
    parser.add_argument("--photographs", type=int, default=2000, help="of LFW")
    parser.add_argument("--environments", type=Path, default=envs.DEFAULT_FOLDER)
    chosen = parser.parse_args()
    unknown = set(chosen.groups) - {*GROUPS, "costs"}
    if unknown:
        parser.error(f"no group named {', '.join(sorted(unknown))}")
    if not (SHARED / "models").is_dir() or not (SHARED / "faces").is_dir():
        parser.error(f"{SHARED} is not here: models and photographs come from it")
    with tempfile.TemporaryDirectory() as temporary:
        run = _run(chosen, Path(temporary))
        for name in chosen.groups or (*GROUPS, "costs"):
            if name == "costs":
                result = _costs(run, times=2 if chosen.quick else 5)
            else:
                group = GROUPS[name]
                sets = {on: _QUICK[on] if chosen.quick else group.sets[on] for on in group.sets}
                result = run_group(group, run, sets)
            _finish(f"peers_{name}", result, quick=chosen.quick)
    return 0


def _run(chosen: argparse.Namespace, temporary: Path) -> Run:
    large = above_a_megapixel()
    return Run(
        photographs={
            "lfw": lfw(50 if chosen.quick else chosen.photographs),
            "large": large if chosen.quick else large * _REPEATED,
        },
        folders={
            "weights": _weights(temporary / "weights"),
            "models": SHARED / "models",
            "home": temporary / "home",
        },
        environments=chosen.environments.resolve(),
        memory=50 if chosen.quick else 500,
    )


def _weights(folder: Path) -> Path:
    """The local files under the names by which each peer looks for them."""
    names = {
        "pack/det_500m.onnx": "det_500m.onnx",
        "pack/w600k_mbf.onnx": "w600k_mbf_dequant.onnx",
        "uniface/scrfd_500m.onnx": "det_500m.onnx",
        "deepface/.deepface/weights/face_detection_yunet_2023mar.onnx": (
            "face_detection_yunet_2023mar.onnx"
        ),
        "deepface/.deepface/weights/buffalo_l/webface_r50.onnx": "w600k_mbf_dequant.onnx",
    }
    for name, source in names.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(SHARED / "models" / source)
    return folder


def _costs(run: Run, times: int) -> dict[str, Any]:
    """Install size, import and first answer of every environment."""
    rows: dict[str, Any] = {}
    left_out = {}
    photograph = run.photographs["lfw"][0]
    for name, entry in _REPRESENTATIVES.items():
        environment = envs.ENVIRONMENTS[name]
        try:
            size = envs.make(name, run.environments)
            python = envs.python_of(name, run.environments)
            around = {**variables(name, run), "PYTHONPATH": str(Path(envs.__file__).parent)}
            start(entry, run).close()  # caches: compiled modules, faceprint's prepared graphs
            imported = import_seconds(python, environment.statement, around, times)
            answered = first_answer(lambda e=entry: start(e, run), photograph, times)
        except (envs.NotMadeError, SideFailedError) as error:
            left_out[name] = str(error)
            continue
        rows[name] = {
            "installed_mb": round(size["bytes"] / 1e6),
            "distributions": size["distributions"],
            "note": size["note"],
            "import": environment.statement,
            "import_ms": round(1000 * imported),
            "first_answer_s": round(answered, 2),
            "first_answer_of": entry.name,
        }
    return {
        "what": "before the first answer: size of the install, import and first photograph, cold",
        "times": times,
        "environments": rows,
        "left_out": left_out,
    }


def _finish(name: str, result: dict[str, Any], *, quick: bool) -> None:
    for row in result.get("ratios", ()):
        found, bar = row["times_as_fast"], row["at_least"]
        said = "not measured" if found is None else f"{found['median']:.2f}"
        asked = (
            "" if bar is None else f", asked {bar:g}: {'holds' if row['holds'] else 'FALLS SHORT'}"
        )
        print(
            f"{row['on']:6}{row['mode']:5}{row['ours']} / {row['theirs']}: {said}{asked}",
            file=sys.stderr,
        )
    if quick:
        import json

        print(json.dumps(result, indent=2))
        return
    write(name, {**result, "load_average": os.getloadavg(), **provenance("pillow", "onnx")})


if __name__ == "__main__":
    sys.exit(main())
