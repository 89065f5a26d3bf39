"""Libraries that report home: each is imported in one place, with its reports switched off."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import faceprint

SOURCE = Path(faceprint.__file__).parent
ONE_PLACE = {"onnxruntime": "_onnxruntime.py", "openvino": "_openvino.py"}

WATCHED = """
import os, sys
seen = []
def hook(event, arguments):
    if event == "import" and arguments[0] == "onnxruntime":
        seen.append(os.environ.get("ORT_DISABLE_TELEMETRY"))
sys.addaudithook(hook)
import faceprint, faceprint.vision.analyzer, faceprint.zoo.optimize, faceprint.training.quantize
assert "ORT_DISABLE_TELEMETRY" not in os.environ, "importing faceprint changes nothing"
{task}
print(*seen)
"""

TASKS = {
    "runtime": "import numpy as np; "
    "faceprint.load(threads=1).analyze(np.zeros((64, 64, 3), np.uint8))",
    "optimizer": "faceprint.zoo.optimize._onnxruntime()",
    "products": "from faceprint.runtime import int8_matmul; int8_matmul._session()",
    "quantizer": "import faceprint._onnxruntime as own; own.quantization()",
}


def imported(module: ast.Module) -> set[str]:
    """The packages that a module imports by name, in statements or through a helper."""
    names = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            called = node.func.id if isinstance(node.func, ast.Name) else called
            if called in {"require", "import_module", "__import__"}:
                names.add(str(node.args[0].value))
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("library", ONE_PLACE)
def test_a_library_that_reports_home_is_imported_in_one_place(library: str) -> None:
    found = {
        path.name
        for path in SOURCE.rglob("*.py")
        if library in imported(ast.parse(path.read_text("utf-8")))
    }
    assert found == {ONE_PLACE[library]}


def run_at_home(home: Path, code: str) -> str:
    """What a process prints that nobody told to keep quiet."""
    hidden = ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"HOME": str(home), "FACEPRINT_HOME": str(home.parent / "own")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("way", TASKS)
def test_onnx_runtime_is_imported_with_its_telemetry_off(way: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    if way == "quantizer":
        pytest.importorskip("onnx")
    assert run_at_home(home, WATCHED.format(task=TASKS[way])).split() == ["1"]
    assert list(home.rglob("*")) == []


def test_openvino_is_imported_without_its_telemetry(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import sys; from faceprint import _openvino; print(_openvino.load().__name__, "
        "[name for name in sys.modules if name.startswith('openvino_telemetry')])"
    )
    assert run_at_home(home, code).split() == ["openvino", "[]"]
    assert list(home.rglob("*")) == []
