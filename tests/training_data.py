"""Made-up people for the tests of training: each has a pattern, and each crop adds noise."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow

SIZE = 112

RUN_DATA = """
out = "run"
seed = 5
[data]
folder = "people"
store = "store"
aligned = true
"""
"""The beginning of a run file: the folder that `write_people` made, in the run file's folder."""

RUN_NETWORK = """[network]
name = "mobilefacenet"
width = 0.125
dim = 16
"""
"""A network that trains in seconds."""


def write_people(root: Path, people: int = 12, each: int = 6, seed: int = 0) -> Path:
    """A folder per person with aligned crops; returns `root`."""
    random = np.random.default_rng(seed)
    for person in range(people):
        folder = root / f"person {person:02}"
        folder.mkdir(parents=True)
        pattern = random.uniform(0, 255, (7, 7, 3)).astype(np.float32)
        for number in range(each):
            coarse = pattern + random.normal(0, 15, pattern.shape).astype(np.float32)
            crop = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
            pixels = np.clip(crop + random.normal(0, 12, crop.shape), 0, 255).astype(np.uint8)
            Pillow.fromarray(pixels).save(folder / f"{number}.png")
    return root


def write_pairs(root: Path, table: Path) -> Path:
    """A table of pairs over the first two crops of each person, in two folds."""
    people = sorted(path.name for path in root.iterdir() if path.is_dir())
    lines = ["a,b,label,fold"]
    for number, name in enumerate(people):
        fold, other = number % 2, people[number - 2]
        lines.append(f"{name}/0.png,{name}/1.png,1,{fold}")
        lines.append(f"{name}/0.png,{other}/1.png,0,{fold}")
    table.write_text("\n".join(lines) + "\n")
    return table
