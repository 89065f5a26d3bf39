"""The JSON files of benchmarks/results, and Markdown tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["NOT_YET", "Results", "table"]

NOT_YET = "Not measured yet: `python benchmarks/{}.py`.\n"


class Results:
    """The JSON files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, name: str) -> Any:
        return json.loads((self._folder / f"{name}.json").read_text("utf-8"))

    def get(self, name: str) -> Any:
        """The file; None where there is none yet."""
        try:
            return self[name]
        except FileNotFoundError:
            return None


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in lines)
