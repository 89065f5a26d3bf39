"""Options that many commands share, spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from faceprint.vision.analyzer import FaceAnalyzer

__all__ = [
    "Detector",
    "Embedder",
    "Exclude",
    "Json",
    "MinQuality",
    "Pack",
    "Processes",
    "Runtime",
    "Threads",
    "analyzer",
]

MinQuality = Annotated[
    float | None,
    typer.Option(
        "--min-quality",
        metavar="X",
        min=0,
        max=1,
        help="Least quality of a face that decides; 0: any. [what the embedder supports]",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Pack = Annotated[
    str | None,
    typer.Option("--pack", metavar="NAME", help="Detector and embedder by one name. [starter]"),
]
Detector = Annotated[
    str | None, typer.Option("--detector", metavar="ID", help="Another detector than the pack's.")
]
Embedder = Annotated[
    str | None, typer.Option("--embedder", metavar="ID", help="Another embedder than the pack's.")
]
Runtime = Annotated[
    str | None,
    typer.Option(
        "--runtime", metavar="NAME", help="onnxruntime, openvino, pytorch, opencv, mxnet."
    ),
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", min=1, max=1024, help="Cores to use. [all it may]"),
]
Processes = Annotated[
    int | None,
    typer.Option(
        "--processes",
        metavar="N",
        min=1,
        max=1024,
        help="Share the cores among so many, on long runs. [one for two cores]",
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="PATTERN",
        help="Skip names ('*.png') or paths ('raw/*') in folders; repeatable.",
    ),
]
Output = Annotated[Path | None, typer.Option("--out", metavar="PATH")]


def analyzer(
    pack: str | None,
    detector: str | None,
    embedder: str | None,
    runtime: str | None,
    threads: int | None,
    processes: int | None = 1,
    *,
    mirror: bool = False,
) -> FaceAnalyzer:
    """What the shared options mean; `processes` None: as many as pay."""
    from faceprint.vision.analyzer import load

    return load(
        pack,
        detector=detector,
        embedder=embedder,
        runtime=runtime,
        threads=threads,
        processes=processes,
        mirror=mirror,
    )
