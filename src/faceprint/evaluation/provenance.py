"""Facts that are needed to repeat a measurement: models, versions, data, machine."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from faceprint.evaluation.embeddings import EmbedOptions
from faceprint.vision import EMBEDDING_VERSION
from faceprint.zoo.card import ModelCard
from faceprint.zoo.card_io import card_hash

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["data_facts", "distribution_versions", "engine_facts"]

_DISTRIBUTIONS = (
    *("numpy", "onnxruntime", "onnxruntime-gpu", "opencv-python-headless", "pillow", "openvino"),
    "torch",
)


def engine_facts(analyzer: FaceAnalyzer, options: EmbedOptions) -> dict[str, object]:
    """Models with their hashes, options, versions, machine and date, as JSON values."""
    models: dict[str, object] = {"embedder": _card(analyzer.embedder_card)}
    if not options.aligned:
        models = {"detector": _card(analyzer.detector_card), **models}
    return {
        "models": models,
        "options": {
            "mirror": analyzer.mirror or analyzer.embedder_card.input.mirrored,
            "aligned": options.aligned,
            "face": None if options.aligned else options.face,
            "runtime": analyzer.runtime,
        },
        "versions": _versions(),
        "machine": {
            "system": platform.system(),
            "processor": _processor(),
            "cores": os.cpu_count() or 1,
        },
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    }


def data_facts(name: str, hashes: Sequence[bytes], protocol: Path | None) -> dict[str, object]:
    """The data set's name, one hash of all pictures in any order, and the protocol file."""
    facts: dict[str, object] = {
        "name": name,
        "pictures": len(hashes),
        "pictures_sha256": hashlib.sha256(b"".join(sorted(hashes))).hexdigest(),
    }
    if protocol is not None:
        with protocol.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        facts["protocol"] = {"file": protocol.name, "sha256": digest}
    return facts


def _card(card: ModelCard) -> dict[str, object]:
    files = {file.name: file.sha256 or "unpinned" for file in card.files}
    return {"id": card.id, "hash": card_hash(card), "files": files}


def _versions() -> dict[str, str]:
    own = {
        "faceprint": importlib.metadata.version("faceprint"),
        "embedding": str(EMBEDDING_VERSION),
        "python": platform.python_version(),
    }
    return own | distribution_versions()


def distribution_versions() -> dict[str, str]:
    """Versions of the installed distributions that results depend on."""
    found = {}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """The processor's name; the last bits of an embedding depend on it."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
