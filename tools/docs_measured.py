"""Numbers in pages that people write, from what benchmarks/ measured.

A page holds `<!-- measured: NAME -->` and `<!-- end -->`; between them stands what the function of
that name in BLOCKS makes of benchmarks/results/*.json; `tools/make_docs.py` writes and checks it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import docs_cropped
import docs_people
import docs_service
import docs_speed
import docs_training
import docs_video
from docs_results import Results

__all__ = ["PAGES", "measured_page"]

PAGES = (
    "README.md",
    "docs/performance.md",
    "docs/scaling.md",
    "docs/galleries.md",
    "docs/quantize.md",
    "docs/deploy.md",
    "docs/training.md",
    "docs/video.md",
    "docs/decisions/0004-smallest-face.md",
    "docs/experiments/clustering.md",
    "docs/experiments/edge-of-the-image.md",
    "docs/decisions/0007-optimizer.md",
    "docs/decisions/0008-signs.md",
    "docs/decisions/0009-limits-of-bulk.md",
)

_MARK = re.compile(r"(<!-- measured: ([a-z-]+) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def measured_page(text: str, folder: Path) -> str:
    """The page with every block made anew.

    Raises:
        KeyError: a name that BLOCKS does not have.
    """
    results = Results(folder)
    return _MARK.sub(lambda found: found[1] + BLOCKS[found[2]](results) + found[3], text)


BLOCKS: dict[str, Callable[[Results], str]] = {
    "speed": docs_speed.speed,
    "against-dlib": docs_speed.against_dlib,
    "accuracy": docs_speed.accuracy,
    "blocks": docs_speed.blocks,
    "engine": docs_speed.engine,
    "cores": docs_speed.cores,
    "optimizer": docs_speed.optimizer,
    "int-eight": docs_speed.int8,
    "exact-search": docs_people.exact_search,
    "approximate-search": docs_people.approximate_search,
    "found-of-mates": docs_people.found_of_mates,
    "identification": docs_people.identification,
    "albums": docs_people.albums,
    "clustering": docs_people.clustering,
    "clustering-halves": docs_people.clustering_halves,
    "clustering-whole": docs_people.clustering_whole,
    "clustering-small": docs_people.clustering_small,
    "clustering-scale": docs_people.clustering_scale,
    "incremental": docs_people.incremental,
    "face-size": docs_speed.face_size,
    "postgres": docs_people.postgres,
    "video-identity": docs_video.identity,
    "video-tracks": docs_video.tracks,
    "video-speed": docs_video.speed,
    "cropped": docs_cropped.cropped,
    "finetune": docs_training.finetune,
    "train-distill": docs_training.distill,
    "train-scratch": docs_training.scratch,
    "service-load": docs_service.service_load,
    "service-peers": docs_service.service_peers,
}
