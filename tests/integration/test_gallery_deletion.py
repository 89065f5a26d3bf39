"""Who is removed is in no byte of any file, whatever SQLite did with its pages before."""

from __future__ import annotations

import hashlib
import os
import random
import re
from pathlib import Path

import numpy as np
import pytest
from gallery_kit import FakeAnalyzer, card, vector

from faceprint.recognition.gallery import Consent, EnrollOptions, Gallery

PEOPLE = 1000


def _photograph(folder: Path, person: int, n: int) -> Path:
    path = folder / f"token{person:05}-{n}.jpg"
    path.write_bytes(f"token{person:05}/{n}".encode())
    return path


def _windows(data: bytes) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Every eight bytes in a row, as a number."""
    whole = np.frombuffer(data, np.uint8)
    return np.lib.stride_tricks.sliding_window_view(whole, 8).copy().view(np.uint64).ravel()


def _left(folder: Path, needles: dict[int, list[bytes]]) -> set[tuple[str, int]]:
    """(file, person) of whom a text or a stretch of a vector or hash is still there."""
    found = set()
    owner = {needle: person for person, several in needles.items() for needle in several}
    wanted = np.frombuffer(b"".join(owner), np.uint64)
    for file in folder.iterdir():
        data = file.read_bytes()
        texts = {int(token) for token in re.findall(rb"token(\d{5})", data)}
        found |= {(file.name, person) for person in texts & needles.keys()}
        if len(data) >= 8:
            met = np.unique(wanted[np.isin(wanted, _windows(data))])
            found |= {(file.name, owner[number.tobytes()]) for number in met}
    return found


def _remove_and_look(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    folder, photographs = tmp_path / "gallery", tmp_path / "photographs"
    folder.mkdir()
    photographs.mkdir()
    needles: dict[int, list[bytes]] = {}
    people = list(range(PEOPLE))
    rng.shuffle(people)
    with Gallery.open(folder / "g.db", FakeAnalyzer(), index="signs") as gallery:
        pairs = []
        for person in people:
            # At times several, so that rows of one person lie apart and pages are balanced anew.
            for n in range(rng.choice((1, 1, 1, 2, 3))):
                path = _photograph(photographs, person, n)
                blob = vector(path.read_bytes(), card()).tobytes()
                digest = hashlib.sha256(path.read_bytes()).digest()
                parts = [part[at : at + 8] for part in (blob, digest) for at in (0, 8, 16, 24)]
                needles.setdefault(person, []).extend(parts)
                pairs.append((f"token{person:05}", path))
        list(gallery.enroll_many(pairs, EnrollOptions(batch_size=500)))
        for person in rng.sample(people, 25):
            about = {"note": f"token{person:05} " + "x" * rng.randrange(2000)}
            paper = Consent(f"token{person:05}", "2025-01-01", reference="y" * rng.randrange(500))
            gallery.update(f"token{person:05}", metadata=about, consent=paper)
        gallery.identify(b"token00001/x", threshold=0.5)
        everybody = {person for _, person in _left(folder, needles)}
        assert everybody == set(people), "the test must be able to see them"
        gone = rng.sample(people, rng.choice((1, 10, 300, 920)))
        for start in range(0, len(gone), 300):
            gallery.remove(*(f"token{person:05}" for person in gone[start : start + 300]))
        removed = {person: needles[person] for person in gone}
        assert _left(folder, removed) == set()
        gallery.identify(b"token00001/x", threshold=0.5)
        assert _left(folder, removed) == set()
    assert _left(folder, removed) == set()
    kept = {person: needles[person] for person in set(people) - set(gone)}
    assert {person for _, person in _left(folder, kept)} == set(kept)


@pytest.mark.parametrize("seed", range(3))
def test_of_removed_people_no_byte_is_left(tmp_path: Path, seed: int) -> None:
    _remove_and_look(tmp_path, seed)


SEEDS = int(os.environ.get("FACEPRINT_TEST_SEEDS", "12"))
"""How many galleries people are removed from; a hundred take a quarter of an hour on two cores."""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, SEEDS))
def test_of_removed_people_no_byte_is_left_over_many_seeds(tmp_path: Path, seed: int) -> None:
    _remove_and_look(tmp_path, seed)
