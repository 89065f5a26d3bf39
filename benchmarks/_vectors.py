"""Vectors like those of faces, for benchmarks of search: people, and noise around each."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from faceprint.recognition.gallery.authenticated_store import AuthenticatedStore
from faceprint.recognition.gallery.factory import open_store
from faceprint.recognition.gallery.records import Header, ModelPin, Policy, Subject, TemplateRow
from faceprint.types import Array

DIM, SPREAD = 512, 0.8
_DECAY = 105.0
"""Of the variances along the axes of `embedding-like` vectors: they have an effective dimension of
207, (sum v)^2 / sum v^2. Those of w600k-mbf on LFW have 183 between people and 211 within."""

SHAPES = ("isotropic", "embedding-like")


def data(faces: int, probes: int, shape: str = "isotropic") -> tuple[Array, Array]:
    """(faces, 512) unit vectors around faces / 10 centers, and probes around the same centers.

    Two of one center have a similarity near 0.6, the nearest of ten near 0.65. Isotropic ones use
    all directions alike, which is the hardest case for every index.
    """
    scale = _deviations(shape)
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((max(faces // 10, 1), DIM), np.float32) * scale
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    vectors = np.empty((faces, DIM), np.float32)
    for start in range(0, faces, 50_000):
        which = np.arange(start, min(start + 50_000, faces)) % len(centers)
        vectors[start : start + len(which)] = _draw(centers, which, scale, start + 1)
    return vectors, _draw(centers, rng.integers(0, len(centers), probes), scale, 7_000_001)


def nearest(vectors: Array, probes: Array) -> Any:
    """(p,) rows of the nearest vectors, counted from 1."""
    best = np.full(len(probes), -np.inf, np.float32)
    truth = np.zeros(len(probes), np.int64)
    for start in range(0, len(vectors), 20_000):
        scores = probes @ vectors[start : start + 20_000].T
        place = scores.argmax(1)
        top = scores[np.arange(len(probes)), place]
        truth = np.where(top > best, place + start + 1, truth)
        best = np.maximum(best, top)
    return truth


def stored(path: Path, vectors: Array) -> AuthenticatedStore:
    """A gallery's file with these templates, keyed from 1."""
    pin = ModelPin("benchmark", "0" * 64, DIM, "arcface-112")
    header = Header("0" * 32, pin, "max", Policy(), created="2025-01-01")
    store = open_store(str(path), header)
    fill(store, vectors)
    return store


def fill(store: AuthenticatedStore, vectors: Array, step: int = 20_000) -> None:
    """Put them in, a transaction for every `step`."""
    for start in range(0, len(vectors), step):
        with store.write() as writer:
            person = writer.put_subject(Subject(f"person {start}", f"{start}"))
            for place in range(start, min(start + step, len(vectors))):
                digest = hashlib.sha256(place.to_bytes(8, "big")).digest()
                blob = vectors[place].tobytes()
                writer.put_template(TemplateRow(person.key, digest, "drawn", blob))


def _draw(centers: Array, which: Any, scale: Array, seed: int) -> Array:
    noise = np.random.default_rng(seed).standard_normal((len(which), DIM), np.float32)
    rows: Array = centers[which] + np.float32(SPREAD) * scale * noise
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _deviations(shape: str) -> Array:
    if shape not in SHAPES:
        raise ValueError(f"shape is {shape!r}; there are {', '.join(SHAPES)}")
    steps = np.arange(DIM) if shape == "embedding-like" else np.zeros(DIM)
    variance = np.exp(-steps / _DECAY)
    return np.asarray(np.sqrt(variance / variance.sum()), np.float32)
