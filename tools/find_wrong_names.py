"""Lists the photographs of a data set whose name several embedders agree to be wrong.

The rule is that of `label_noise`. Name embedders that did not learn from the
data set. The list goes to docs/reports and holds names of files alone.

    python tools/find_wrong_names.py FOLDER --out docs/reports/aside-NAME.txt \\
        --detector yunet-2023mar mobileface w600k-mbf-dequant edgeface-xs-dequant
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from label_noise import COMMON, MARGIN, RARE, find_wrong_names, write_aside

from faceprint.evaluation.embeddings import EmbedOptions, embed_pictures
from faceprint.evaluation.folders import open_folder
from faceprint.vision.analyzer import load


def main() -> None:
    """Write the list, and say how many there are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("embedders", nargs="+", metavar="EMBEDDER")
    parser.add_argument("--detector", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--face",
        choices=("largest", "central"),
        default="central",
        help="where several people are in a photograph, the named one is mostly in the middle",
    )
    parser.add_argument("--threads", type=int, default=None)
    given = parser.parse_args()
    data = open_folder(given.folder)
    embedded = [
        embed_pictures(
            data.pictures,
            load(detector=given.detector, embedder=name, threads=given.threads),
            EmbedOptions(face=given.face),
        )
        for name in given.embedders
    ]
    kept = np.flatnonzero(np.all([each.found for each in embedded], axis=0))
    found = find_wrong_names(
        [each.vectors[kept] for each in embedded],
        data.subjects[kept],
        [data.pictures[i].name for i in kept.tolist()],
    )
    reasons = Counter(each.reason for each in found)
    total = len(data)
    write_aside(given.out, found, heading(len(found), total, given.embedders, given.detector))
    print(f"{given.out}: {len(found)} of {total}; {dict(reasons)}")


def heading(count: int, total: int, embedders: Sequence[str], detector: str) -> list[str]:
    """What the list is and which rule made it."""
    return [
        f"Set aside: {count} of {total} photographs, whose name is wrong, as these agree:",
        f"{', '.join(embedders)}, on the faces of {detector}.",
        "like none of its name: the closest photograph of the same name is no closer than "
        f"1 in {1 / COMMON:g} pairs of two names.",
        f"like another name: 1 in {1 / RARE:,.0f} pairs of two names at most is as close as the "
        "closest photograph of one other name,",
        f"and that is {MARGIN:g} times rarer than the closeness to the photographs of its name.",
        "one picture, two names: closer than half of all pairs of one name.",
    ]


if __name__ == "__main__":
    main()
