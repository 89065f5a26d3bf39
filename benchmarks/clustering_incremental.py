"""An album that grows in five batches: what comes out, whose numbers stay, what corrections do.

    python benchmarks/clustering_incremental.py TABLE.npz [--name incremental_starter]

TABLE is an embedding table of a folder a person (LFW), the central face of each photograph counts.
Three random orders of photographs and one by person (whole people arrive together) go into album
files in five batches, each sorted after each batch as `cluster` does. Then wrong joins and splits
are corrected as an owner would, and three more runs follow, a fifth of the photographs taken out
and put back in each.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _common import provenance, write

from faceprint.embedding_table.reader import read_table
from faceprint.embedding_table.schema import EmbeddingTable
from faceprint.evaluation.cluster_scores import cluster_scores
from faceprint.recognition.albums.corrections import Corrections, FaceKey
from faceprint.recognition.albums.corrections_store import store_corrections
from faceprint.recognition.albums.people import Album
from faceprint.recognition.albums.removal import forget
from faceprint.recognition.albums.store import AlbumFile
from faceprint.recognition.albums.sync import sync_table
from faceprint.recognition.cluster import ClusterOptions, cluster_album

BATCHES, CORRECTIONS = 5, 20


def central(table: EmbeddingTable) -> EmbeddingTable:
    """The face nearest to the middle of each photograph of 250 pixels."""
    center = (table.boxes[:, :2] + table.boxes[:, 2:]) / 2 - 125
    order = np.lexsort((np.hypot(*center.T), np.asarray(table.sources)))
    sources = np.asarray(table.sources)[order]
    return table.pick(np.sort(order[np.concatenate([[True], sources[1:] != sources[:-1]])]))


def sort_album(file: AlbumFile) -> Album:
    """As `cluster` does."""
    return cluster_album(file, Corrections(), ClusterOptions())


def owners(album: Album) -> dict[str, int]:
    """Whose each photograph is; those that wait are left out."""
    return {face.source: person.id for person in album.people for face in person.faces}


def bcubed(found: dict[str, int]) -> float:
    """F against the folders' names."""
    people = [Path(source).parent.name for source in found]
    return float(cluster_scores(np.asarray(people), np.asarray(list(found.values()))).bcubed.f)


def grown(
    path: Path, table: EmbeddingTable, parts: list[Any]
) -> tuple[dict[str, Any], dict[str, int]]:
    """Batch by batch; how many photographs keep their person's number from run to run."""
    before: dict[str, int] = {}
    kept = []
    with AlbumFile(path) as file:
        for part in parts:
            sync_table(file, table.pick(np.sort(part)))
            now = owners(sort_album(file))
            kept += [[now.get(s) == person for s, person in before.items()]] if before else []
            before = now
    shares = [round(float(np.mean(part)), 4) for part in kept]
    return {"bcubed_f": round(bcubed(before), 4), "numbers_kept": shares}, before


def corrected(path: Path, table: EmbeddingTable) -> dict[str, Any]:
    """Joins and parts what is wrong, then runs three times more."""
    people = np.asarray([Path(source).parent.name for source in table.sources])
    row = {source: i for i, source in enumerate(table.sources)}

    def key(source: str) -> FaceKey:
        return FaceKey(source, tuple(round(float(v), 2) for v in table.boxes[row[source]]))

    with AlbumFile(path) as file:
        album = sort_album(file)
        found = owners(album)
        split, joined = [], []
        for name in np.unique(people):
            mine = [s for s in np.asarray(table.sources)[people == name].tolist() if s in found]
            first = {found[s]: s for s in mine}
            split += [list(first.values())[:2]] if len(first) > 1 else []
        for person in album.people:
            names = [Path(face.source).parent.name for face in person.faces]
            other = [f.source for f, n in zip(person.faces, names, strict=True) if n != names[0]]
            joined += [(other[0], person.faces[0].source)] if other else []
        must, cannot = split[:CORRECTIONS], joined[:CORRECTIONS]
        said = Corrections(
            must_link=tuple((key(a), key(b)) for a, b in must),
            cannot_link=tuple((key(a), key(b)) for a, b in cannot),
        )
        store_corrections(file, said)
        touched = {s for pair in (*must, *cannot) for s in pair}
        others = np.asarray([s for s in table.sources if s not in touched])
        obeyed, scores = [], []
        for run in range(3):
            away = np.random.default_rng(run).permutation(others)[: len(others) // 5].tolist()
            forget(file, away)
            sort_album(file)
            sync_table(file, table.pick(np.asarray(sorted(row[s] for s in away))))
            now = owners(sort_album(file))
            good = [now[a] == now[b] for a, b in must] + [now[a] != now[b] for a, b in cannot]
            obeyed.append(sum(good))
            scores.append(round(bcubed(now), 4))
    return {
        "same_person": len(must),
        "not_this_person": len(cannot),
        "obeyed_in_each_run": obeyed,
        "bcubed_f_before": round(bcubed(found), 4),
        "bcubed_f_in_each_run": scores,
    }


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--name", default="incremental")
    given = parser.parse_args()
    table = central(read_table(given.table))
    table = replace(table, thumbnails=(None,) * len(table))
    people = np.asarray([Path(source).parent.name for source in table.sources])
    orders = {f"order {i}": np.random.default_rng(i).permutation(len(table)) for i in range(3)}
    _, numbers = np.unique(people, return_inverse=True)
    orders["by person"] = np.argsort(
        np.random.default_rng(9).permutation(numbers.max() + 1)[numbers]
    )
    result: dict[str, Any] = {
        "photographs": len(table),
        "embedder": table.embedder,
        "batches": BATCHES,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = time.perf_counter()
        one, _ = grown(folder / "one.db", table, [np.arange(len(table))])
        result["one_batch"] = one
        for label, order in orders.items():
            parts = np.array_split(order, BATCHES)
            result[label], _ = grown(folder / f"{label}.db", table, parts)
            print(label, result[label], file=sys.stderr, flush=True)
        result["corrections"] = corrected(folder / "one.db", table)
        result["seconds"] = round(time.perf_counter() - start, 1)
    write(given.name, result | provenance())


if __name__ == "__main__":
    main()
