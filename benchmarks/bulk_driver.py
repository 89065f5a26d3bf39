"""What a bulk run costs its driver: everything but the reading and the networks.

    python benchmarks/bulk_driver.py --photographs 100000

A stand-in engine gives made-up names, digests and 512-d rows at once, so what is left is the
listing, the manifest, the part files and the table: the rate that no number of workers can exceed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _common import provenance, write

import faceprint
from faceprint.bulk.local import Part
from faceprint.bulk.run import embed_table
from faceprint.bulk.work import Advance, Content, Outcome
from faceprint.embedding_table.schema import EmbeddingTable

DIM = 512


class StandIn:
    """One face a photograph."""

    batch_size = 32

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._noise = rng.standard_normal((4096, DIM), np.float32) / np.float32(np.sqrt(DIM))

    def contents(
        self, wanted: Iterator[tuple[int, str, Content | None]]
    ) -> Generator[tuple[int, str, Content], None, None]:
        """A digest of the name."""
        for position, source, _ in wanted:
            digest = hashlib.sha256(source.encode()).digest()
            yield position, source, Content(source, 100_000, digest)

    def outcomes(self, parts: Iterator[Part], advance: Advance) -> Iterator[tuple[Part, Outcome]]:
        """Rows of noise."""
        for part in parts:
            n = len(part.sources)
            box = np.tile(np.float32([10, 10, 90, 90]), (n, 1))
            points = np.tile(np.float32([30, 30]), (n, 5, 1))
            one = np.ones(n, np.float32)
            quality = np.tile(np.float32([80, 100, 0, 1]), (n, 1))
            faces = EmbeddingTable(
                part.sources, box, one, quality, self._noise[:n], "", (None,) * n, landmarks=points
            )
            advance(n)
            yield part, Outcome(faces, (1,) * n, (None,) * n)


class Watch:
    """Nobody watches."""

    def begin(self, total: int) -> None:
        """Nothing to do."""

    def advance(self, number: int) -> None:
        """Nothing to do."""

    def stopped(self) -> bool:
        """Never."""
        return False


class Models:
    """A `FaceAnalyzer` whose embedder has 512 components."""

    def __init__(self) -> None:
        fp = faceprint.load("starter")
        self.detector_card, self.mirror = fp.detector_card, fp.mirror
        self.embedder_card, self.embedder = replace(fp.embedder_card, dim=DIM), fp.embedder
        self.runtime = fp.runtime


def main() -> None:
    """Run once and write benchmarks/results/bulk_driver.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="for the table. [a temporary one]")
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    models: Any = Models()
    names = [f"/archive/{i // 1000:06d}/{i:09d}.jpg" for i in range(chosen.photographs)]
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        out = Path(folder) / "table.parquet"
        summary = embed_table(lambda: names, out, models, StandIn(), Watch())
        size = out.stat().st_size
    assert summary.faces == chosen.photographs
    result = {
        "what": "a bulk run without its reading and its networks, one 512-d face a photograph",
        "photographs": summary.images,
        "seconds": round(summary.seconds, 1),
        "photographs_a_second": round(summary.images / summary.seconds),
        "table_bytes_a_face": round(size / summary.faces, 1),
        "load_before": round(load, 1),
    }
    write("bulk_driver", result | provenance("pyarrow"))


if __name__ == "__main__":
    main()
