"""Labeled data sets of `evaluate`, `calibrate` and `models validate`, and their options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceprint.cli.output import search_notes
from faceprint.errors import UsageError

if TYPE_CHECKING:
    from faceprint.evaluation.datasets import LabeledSet, PairSet

__all__ = ["Aligned", "Mirror", "is_record_pack", "open_labeled", "open_pairs"]

Mirror = Annotated[
    bool, typer.Option("--mirror", help="Average with the embedding of the mirror image.")
]
Aligned = Annotated[
    bool, typer.Option("--aligned", help="The pictures are aligned crops; don't detect faces.")
]

_TABLES = {".csv", ".parquet", ".pq"}


def open_labeled(
    path: Path, *, aligned: bool, exclude: Sequence[str] = (), groups: Path | None = None
) -> LabeledSet:
    """One folder per person, or a RecordIO pack of aligned crops."""
    from faceprint.evaluation.folders import open_folder
    from faceprint.evaluation.recordio import open_record_pack
    from faceprint.vision.search_report import SearchReport

    if is_record_pack(path):
        if groups is not None:
            raise UsageError("--groups is for folders of people; a RecordIO pack has no names")
        return open_record_pack(path)
    search = SearchReport()
    try:
        return open_folder(path, aligned=aligned, exclude=exclude, groups=groups, report=search)
    finally:
        search_notes(search)


def open_pairs(protocol: str, path: Path, pairs: Path | None, *, aligned: bool) -> PairSet:
    """The data of the protocols `lfw`, `bin` and `pairs`."""
    from faceprint.evaluation.bin_pack import open_bin
    from faceprint.evaluation.pairs import open_lfw, open_pair_table

    if protocol == "lfw":
        return open_lfw(path, pairs or path / "pairs.txt", aligned=aligned)
    if protocol == "bin":
        if pairs is not None:
            raise UsageError("a .bin pack has its own pairs; omit --pairs")
        return open_bin(path)
    if pairs is None:
        return open_pair_table(path, aligned=aligned)
    if pairs.suffix.lower() not in _TABLES:
        raise UsageError(f"{pairs} is not a table of pairs; expected {', '.join(sorted(_TABLES))}")
    return open_pair_table(pairs, root=path, aligned=aligned)


def is_record_pack(path: Path) -> bool:
    """Whether it is a .rec file, or a folder with one."""
    return (path.suffix == ".rec" and not path.is_dir()) or any(path.glob("*.rec"))
