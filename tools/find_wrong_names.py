"""Lists the photographs of a data set whose name several embedders agree to be wrong.

The rule is that of `faceprint.evaluation.label_noise`. Name embedders that did not learn from the
data set. The list goes to docs/reports and holds names of files alone.

    python tools/find_wrong_names.py FOLDER --out docs/reports/aside-NAME.txt \\
        --detector yunet-2023mar mobileface w600k-mbf-dequant edgeface-xs-dequant
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from faceprint.evaluation.embeddings import EmbedOptions, embed_pictures
from faceprint.evaluation.folders import open_folder
from faceprint.evaluation.label_noise import COMMON, MARGIN, RARE, find_wrong_names, write_aside
from faceprint.vision.pipeline import load


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
    heading = [
        f"{len(found)} of {len(data)} photographs of {given.folder.name} are set aside: the name "
        "is wrong,",
        f"as {', '.join(given.embedders)} on the faces of {given.detector} agree (of several",
        f"faces, the {given.face} one).",
        "The closest photograph of the same name is no closer than the strangers of 1 in "
        f"{1 / COMMON:g} pairs",
        f"(like none of its name); or one other name is {MARGIN:g} times rarer in its closeness, "
        "at 1 in",
        f"{1 / RARE:,.0f} pairs or rarer (like another name); or one picture carries two names.",
    ]
    write_aside(given.out, found, heading)
    print(f"{given.out}: {len(found)} of {len(data)}; {dict(reasons)}")


if __name__ == "__main__":
    main()
