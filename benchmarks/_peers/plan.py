"""Who runs against whom, on what, with which settings, and what is asked of the ratios.

Work is comparable before it is compared: the same weight files, the same size of what the detector
sees, the same thresholds, all cores on both sides. Where a peer's usual setting differs from
faceprint's, both settings are measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["GROUPS", "Entry", "Group", "Pair", "SetPlan", "options_of"]


@dataclass(frozen=True)
class Entry:
    """One side: a peer's module with options.

    Attributes:
        name: as it is called in the JSON and the tables.
        peer: the module `peer_<peer>.py`; also the environment's name.
        options: what the module is given; "{weights}" and "{models}" stand for folders.
        every: set of photographs -> it takes each so many-th turn there; slow sides take fewer.
        slow_ways: ways of bulk work that are not tried on a set.
    """

    name: str
    peer: str
    options: Mapping[str, Any]
    every: Mapping[str, int]
    slow_ways: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    """A ratio: how many times as fast `ours` is as `theirs`.

    Attributes:
        bars: mode (`one`, `bulk`) -> what the ratio must be at least; none where it only informs.
    """

    ours: str
    theirs: str
    on: str
    bars: Mapping[str, float]
    note: str = ""


@dataclass(frozen=True)
class SetPlan:
    """How a set of photographs is dealt out: photographs in a turn, turns over the same ones."""

    turn: int
    rounds: int = 1


@dataclass(frozen=True)
class Group:
    """Sides that are measured together."""

    name: str
    what: str
    sets: Mapping[str, SetPlan]
    entries: tuple[Entry, ...]
    pairs: tuple[Pair, ...]


def options_of(entry: Entry, folders: Mapping[str, Path]) -> dict[str, Any]:
    """The options with the folders' paths in their places."""
    return {
        key: value.format(**folders) if isinstance(value, str) else value
        for key, value in entry.options.items()
    }


_BOTH = {"lfw": 1, "large": 1}
_SCRFD = {"detector": "scrfd-500m", "embedder": "w600k-mbf-dequant"}
_PACK = {"pack": "{weights}/pack"}
_STORE = {"cache": "{weights}/uniface", "embedder": "{models}/w600k_mbf_dequant.onnx"}
_CASCADE = {"min_face": 20, "thresholds": [0.6, 0.7, 0.8], "factor": 0.709}
_PUBLISHED = {"min_face": 20.0, "min_face_share": 0.0, "clear_face_share": 0.0}
"""faceprint's own setting leaves out faces below 2 or 3 % of the shorter side; peers' do not."""

_AS_BUILT = "each as it is set up: the photograph is shown to the peer's detector at 640 pixels"


def _embedding_bars(on: str, ours: str, size: int, note: str = "") -> tuple[Pair, ...]:
    bars = {} if note else {"one": 1.3, "bulk": 2.0}
    return tuple(Pair(ours, f"{peer} at {size}", on, bars, note) for peer in _EMBEDDING_PEERS)


_EMBEDDING_PEERS = ("insightface", "uniface")

EMBEDDINGS = Group(
    "embeddings",
    "photograph on disk to boxes, landmarks and embeddings: det_500m and w600k_mbf on every side",
    {"lfw": SetPlan(100), "large": SetPlan(60, rounds=3)},
    (
        Entry(
            "faceprint",
            "faceprint",
            {**_SCRFD, "input": "longer side 320 to 640, no more than the photograph's"},
            _BOTH,
        ),
        Entry("insightface at 320", "insightface", {**_PACK, "side": 320}, {"lfw": 1}),
        Entry("uniface at 320", "uniface", {**_STORE, "side": 320}, {"lfw": 1}),
        Entry(
            "faceprint at 640",
            "faceprint",
            {**_SCRFD, "settings": {"min_side": 640}, "input": "longer side 640"},
            {"lfw": 2},
        ),
        Entry("insightface at 640", "insightface", {**_PACK, "side": 640}, {"lfw": 2, "large": 1}),
        Entry("uniface at 640", "uniface", {**_STORE, "side": 640}, {"lfw": 2, "large": 1}),
    ),
    (
        *_embedding_bars("lfw", "faceprint", 320),
        *_embedding_bars("lfw", "faceprint at 640", 640),
        *_embedding_bars("lfw", "faceprint", 640, _AS_BUILT),
        *_embedding_bars("large", "faceprint", 640),
    ),
)

DLIB = Group(
    "dlib",
    "photograph on disk to embeddings: the starter pack against face_recognition's way with dlib",
    {"lfw": SetPlan(100), "large": SetPlan(60, rounds=2)},
    (
        Entry(
            "faceprint, starter",
            "faceprint",
            {"detector": "mtcnn", "embedder": "dlib-resnet", "input": "a pyramid"},
            _BOTH,
        ),
        Entry("dlib", "dlib", {}, {"lfw": 4, "large": 1}),
    ),
    (
        Pair("faceprint, starter", "dlib", "lfw", {"one": 4.0, "bulk": 4.0}),
        Pair("faceprint, starter", "dlib", "large", {"one": 8.0, "bulk": 8.0}),
    ),
)

MTCNN = Group(
    "mtcnn",
    "photograph on disk to boxes and landmarks: the same MTCNN weights and settings on every side",
    {"lfw": SetPlan(100), "large": SetPlan(12)},
    (
        Entry(
            "faceprint, MTCNN",
            "faceprint",
            {
                "detector": "mtcnn",
                "embedder": "dlib-resnet",
                "settings": _PUBLISHED,
                "embed": False,
                "input": "a pyramid",
            },
            _BOTH,
        ),
        Entry("facenet-pytorch", "facenet", _CASCADE, {"lfw": 1, "large": 1}),
        Entry(
            "mtcnn, TensorFlow",
            "mtcnn",
            _CASCADE,
            {"lfw": 4, "large": 3},
            {"large": ("batches of 16", "batches of 32")},
        ),
    ),
    tuple(
        Pair("faceprint, MTCNN", theirs, on, {"one": bar, "bulk": bar})
        for on in ("lfw", "large")
        for theirs, bar in (("facenet-pytorch", 2.0), ("mtcnn, TensorFlow", 5.0))
    ),
)

DEEPFACE = Group(
    "deepface",
    "photograph on disk to embeddings: YuNet and w600k_mbf on both sides",
    {"lfw": SetPlan(100), "large": SetPlan(60)},
    (
        Entry(
            "faceprint, YuNet",
            "faceprint",
            {
                "detector": "yunet-2023mar",
                "embedder": "w600k-mbf-dequant",
                "input": "640 x 640, padded; the file fixes it",
            },
            {"lfw": 4, "large": 1},
        ),
        Entry(
            "deepface",
            "deepface",
            {"home": "{weights}/deepface", "threshold": 0.6},
            {"lfw": 4, "large": 1},
        ),
    ),
    tuple(Pair("faceprint, YuNet", "deepface", on, {}) for on in ("lfw", "large")),
)

GROUPS = {group.name: group for group in (EMBEDDINGS, DLIB, MTCNN, DEEPFACE)}
