"""Environments: a venv for each side, with pinned requirements, made once.

    python benchmarks/_peers/envs.py [NAME ...]       makes them, below .venv/peers

Peers ask for packages that exclude each other's and faceprint's, so each has a folder of its own.
CPU builds alone: torch is pinned to the version whose build for the CPU the package index has under
that very number, and TensorFlow is `tensorflow-cpu`. Nothing but pip touches the network.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["DEFAULT_FOLDER", "ENVIRONMENTS", "Environment", "NotMadeError", "make", "python_of"]

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_FOLDER = ROOT / ".venv" / "peers"

_NUMPY, _PILLOW, _ORT = "numpy==2.4.6", "pillow==13.0.0", "onnxruntime==1.31.1"
_NOT_COUNTED = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence.pth")


@dataclass(frozen=True)
class Environment:
    """How an environment is made.

    Attributes:
        steps: arguments of `pip install`, one call each.
        statement: the import that a user starts with, timed cold.
        extra: arguments of one more call, for what the benchmark's settings need beyond what a
            user of the peer installs; the install size is taken before it.
        note: what there is to say of the steps.
    """

    steps: tuple[tuple[str, ...], ...]
    statement: str
    extra: tuple[str, ...] = ()
    note: str = ""


ENVIRONMENTS = {
    "faceprint": Environment(
        ((str(ROOT), _NUMPY, _PILLOW, _ORT, "opencv-python-headless==5.0.0.93"),),
        "import faceprint",
        ("onnx==1.23.2",),
        "size without the extra `onnx`, which the measurements have",
    ),
    "insightface": Environment(
        (("insightface==2.1", _ORT, _NUMPY, "opencv-python==5.0.0.93"),),
        "from insightface.app import FaceAnalysis",
        ("fastapi==0.165.0", "uvicorn==0.54.0", "python-multipart==0.0.34"),
        "size without FastAPI, which serve_peers.py needs",
    ),
    "uniface": Environment(
        (("uniface[cpu]==4.2.1", _ORT, _NUMPY, "opencv-python==5.0.0.93"),), "import uniface"
    ),
    "deepface": Environment(
        (("deepface==0.0.103", _ORT, _NUMPY, "opencv-contrib-python-headless==5.0.0.93"),),
        "from deepface import DeepFace",
        ("werkzeug==3.1.9", "insightface==2.1"),
        "werkzeug, which 0.0.103 imports without asking for it, and insightface, which Buffalo_L "
        "needs, are not in the size",
    ),
    "dlib": Environment(
        (
            ("dlib-bin==20.0.1.post1", "face_recognition_models==0.3.0", _NUMPY, _PILLOW, "click"),
            ("--no-deps", "face_recognition==1.3.0", "setuptools<81"),
        ),
        "import face_recognition",
        ("opencv-python-headless==5.0.0.93",),  # video_speed.py reads with it
        "dlib-bin in place of dlib, which has to be compiled",
    ),
    "facenet": Environment(
        (
            ("torch==2.13.0", _NUMPY, _PILLOW, "requests==2.34.2", "tqdm==4.70.1"),
            ("--no-deps", "facenet-pytorch==2.6.0"),
        ),
        "import torchvision_parts as tv; tv.install(); from facenet_pytorch import MTCNN",
        (),
        "without torchvision; facenet-pytorch asks for an older torch, numpy and Pillow",
    ),
    "trackers": Environment(
        (("trackers==2.6.1", "supervision==0.31.2", _NUMPY),),
        "from trackers import ByteTrackTracker",
    ),
    "mtcnn": Environment(
        (("mtcnn==1.0.0", "tensorflow-cpu==2.21.0", _NUMPY),), "from mtcnn import MTCNN"
    ),
}


class NotMadeError(RuntimeError):
    """An environment can't be made; the message is pip's last line."""


def python_of(name: str, folder: Path = DEFAULT_FOLDER) -> Path:
    """The interpreter of an environment."""
    below = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
    return folder / name / below


def make(name: str, folder: Path = DEFAULT_FOLDER) -> dict[str, Any]:
    """Make an environment where it is not there as it should be.

    Returns:
        `bytes` and `distributions`, without the extra, and the `note`.

    Raises:
        NotMadeError: pip or venv failed.
    """
    environment, place = ENVIRONMENTS[name], folder / name
    stamp, wanted = place / "made.json", _recipe(name)
    if stamp.is_file():
        made = json.loads(stamp.read_text("utf-8"))
        if made["recipe"] == wanted:
            return dict(made["size"])
    print(f"making the environment of {name}", file=sys.stderr, flush=True)
    _run([sys.executable, "-m", "venv", "--clear", str(place)])
    python = python_of(name, folder)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-q", "install"]
    for step in environment.steps:
        _run([*pip, *step])
    size = {**measured(place), "note": environment.note}
    if environment.extra:
        _run([*pip, *environment.extra])
    stamp.write_text(json.dumps({"recipe": wanted, "size": size}), "utf-8")
    return size


def measured(place: Path) -> dict[str, Any]:
    """Bytes and distributions in site-packages, less pip and setuptools."""
    (packages,) = [path for path in place.rglob("site-packages") if path.is_dir()]
    return {
        "bytes": sum(path.stat().st_size for path in _files(packages)),
        "distributions": sum(_counts(path) for path in packages.glob("*.dist-info")),
    }


def _files(packages: Path) -> Iterator[Path]:
    for entry in packages.iterdir():
        if entry.name.endswith(".dist-info"):
            counted = _counts(entry)
        else:
            counted = entry.name not in _NOT_COUNTED
        if counted:
            yield from [entry] if entry.is_file() else (p for p in entry.rglob("*") if p.is_file())


def _counts(info: Path) -> bool:
    return info.name.split("-")[0].lower() not in _NOT_COUNTED


def _recipe(name: str) -> str:
    """What the environment depends on; for faceprint the package's own files as well."""
    digest = hashlib.sha256(repr((ENVIRONMENTS[name], sys.version)).encode())
    if name == "faceprint":
        sources = [ROOT / "pyproject.toml", *sorted((ROOT / "src").rglob("*"))]
        for path in sources:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT)}".encode() + path.read_bytes())
    return digest.hexdigest()


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise NotMadeError(lines[-1].strip() if lines else f"exit code {done.returncode}")


if __name__ == "__main__":
    for chosen in sys.argv[1:] or ENVIRONMENTS:
        print(chosen, make(chosen))
