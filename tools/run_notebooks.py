"""Run notebooks and store their outputs.

    python tools/run_notebooks.py notebooks/album.ipynb    after a change of that notebook

Each runs in an empty folder with a FACEPRINT_HOME of its own, without the network. `validation`
needs LFW and LFW_PAIRS in the environment, `finetune` PEOPLE and ONNX_FILE; `inference` stores its
last step only where FACEPRINT_MXNET_PYTHON is set.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

__all__ = ["run"]

_SECONDS = 300


def run(path: Path, folder: Path) -> Any:
    """The notebook with the outputs of a fresh kernel; the file stays as it is.

    Args:
        folder: the kernel's working folder.

    Raises:
        CellExecutionError: a cell ended with an error.
    """
    book = nbformat.read(path, as_version=4)
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(
        book,
        timeout=_SECONDS,
        kernel_name="python3",
        resources=where,
        record_timing=False,
        coalesce_streams=True,
    ).execute()
    return book


def main(names: list[str]) -> int:
    """0, unless a notebook fails."""
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["FACEPRINT_HOME"] = str(Path(folder, "home"))
            os.environ["FACEPRINT_OFFLINE"] = "1"
            here = Path(folder, "here")
            here.mkdir()
            nbformat.write(run(Path(name), here), Path(name))
        print(f"stored {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
