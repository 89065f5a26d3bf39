"""notebooks/: each runs, and prints what is stored in it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from snippets import same

from faceprint.runtime.mxnet import environment

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
# Looked up before the fixtures give each test a home of its own.
_MXNET = os.environ.get("FACEPRINT_MXNET_PYTHON") or environment.python()


def printed(cell: Any) -> list[str]:
    """The text of a code cell's outputs, line by line."""
    texts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            texts.append(output.text)
        elif "image/jpeg" not in output.data:
            texts.append(output.data.get("text/plain", ""))
    return "\n".join(texts).splitlines()


def agree(stored: list[str], found: list[str]) -> bool:
    return len(stored) == len(found) and all(map(same, stored, found))


@pytest.mark.parametrize(
    "name",
    [
        "inference",
        pytest.param("validation", marks=pytest.mark.slow),
        pytest.param("finetune", marks=pytest.mark.slow),
        "album",
        "gallery",
    ],
)
def test_notebook(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if name == "validation":
        faces = request.getfixturevalue("shared_faces")
        monkeypatch.setenv("LFW", str(faces / "lfw"))
        monkeypatch.setenv("LFW_PAIRS", str(faces / "lfw_pairs.txt"))
    if name == "finetune":
        for module in ("torch", "onnx"):
            pytest.importorskip(module, reason="faceprint[train] is not installed")
        monkeypatch.setenv("PEOPLE", str(request.getfixturevalue("shared_faces") / "facescrub"))
        models = request.getfixturevalue("shared_models")
        monkeypatch.setenv("ONNX_FILE", str(models / "w600k_mbf_dequant.onnx"))
    if _MXNET:
        monkeypatch.setenv("FACEPRINT_MXNET_PYTHON", str(_MXNET))
    monkeypatch.setenv("FACEPRINT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPRINT_OFFLINE", "1")
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    monkeypatch.syspath_prepend(str(FOLDER.parent / "tools"))
    from run_notebooks import run

    here = tmp_path / "here"
    here.mkdir()
    stored = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    running = run(FOLDER / f"{name}.ipynb", here)
    wrong = []
    for before, after in zip(stored.cells, running.cells, strict=True):
        if before.cell_type != "code":
            continue
        expected, actual = printed(before), printed(after)
        skipped = actual and actual[0].startswith("skipped: ")
        if not skipped and not agree(expected, actual):
            wrong.append((before.source, expected, actual))
    assert wrong == []


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebook_is_small_and_names_no_machine(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text) < 60_000
    assert str(Path.home()) not in text.replace("~", "")
    assert "/tmp/" not in text
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    assert all(
        cell.outputs or cell.execution_count for cell in book.cells if cell.cell_type == "code"
    )
