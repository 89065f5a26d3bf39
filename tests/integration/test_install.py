"""What a plain `pip install faceprint` brings: counted in an empty environment, and used there."""

from __future__ import annotations

import json
import os
import subprocess
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_DISTRIBUTIONS = 26
MAX_MEGABYTES = 350
"""Of a million bytes."""

COUNT = """
import importlib.metadata, json, pathlib
names, size = [], 0
for found in importlib.metadata.distributions():
    if found.name.lower() in ("pip", "setuptools"):
        continue
    names.append(found.name)
    for file in found.files or ():
        path = pathlib.Path(found.locate_file(file))
        # As shipped: Python compiles what it imports, here or not, and at any later time.
        if path.suffix != ".pyc" and path.is_file():
            size += path.stat().st_size
print(json.dumps({"names": sorted(names), "megabytes": size / 1e6}))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the base install alone."""
    folder = tmp_path_factory.mktemp("base")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    done = subprocess.run([*pip, str(ROOT)], capture_output=True, text=True, check=False)
    if done.returncode and "Could not find a version" in done.stderr and "CI" not in os.environ:
        pytest.skip("the package index can't be reached from here")
    assert done.returncode == 0, done.stderr
    return python


@pytest.mark.slow
@pytest.mark.network
def test_base_install_is_within_its_budget(python: Path) -> None:
    done = subprocess.run([str(python), "-c", COUNT], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert len(found["names"]) <= MAX_DISTRIBUTIONS, found
    assert found["megabytes"] <= MAX_MEGABYTES, found


@pytest.mark.slow
@pytest.mark.network
def test_base_install_works_offline_from_the_first_command(python: Path, tmp_path: Path) -> None:
    faceprint = str(python.parent / "faceprint")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "FACEPRINT_OFFLINE": "1",
        "LANG": "C",
    }
    done = subprocess.run(
        [faceprint, "demo", "--out", str(tmp_path / "figures"), "--json"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [entry["match"] for entry in json.loads(done.stdout)["sets"]] == [True, False, True]
