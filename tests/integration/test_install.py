"""The wheel and the sdist, installed in an empty environment: its size, its types, its commands."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
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
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel."""
    builder, dist = tmp_path_factory.mktemp("builder"), tmp_path_factory.mktemp("dist")
    python = _environment(builder, "hatchling")
    build = [str(python), "-m", "hatchling", "build", "-d", str(dist)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    return dist


@pytest.fixture(scope="module")
def python(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the base install alone, from the sdist."""
    (sdist,) = built.glob("*.tar.gz")
    return _environment(tmp_path_factory.mktemp("base"), str(sdist))


def _environment(folder: Path, wanted: str) -> Path:
    venv.create(folder)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    install = [*pip, "install", "-q", wanted]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode and "Could not find a version" in done.stderr and "CI" not in os.environ:
        pytest.skip("the package index can't be reached from here")
    assert done.returncode == 0, done.stderr
    return python


@pytest.mark.slow
@pytest.mark.network
def test_the_sdist_installs_what_the_wheel_holds(built: Path, python: Path) -> None:
    (wheel,) = built.glob("*.whl")
    (package,) = python.parent.parent.glob("lib/python*/site-packages/faceprint")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("faceprint/")}
    installed = {
        f"faceprint/{path.relative_to(package).as_posix()}"
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert held == installed and "faceprint/py.typed" in held


@pytest.mark.slow
@pytest.mark.network
def test_types_reach_a_strict_consumer(python: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed (extra `check`)")
    program = shutil.copy(ROOT / "tests" / "typed_consumer" / "consumer.py", tmp_path)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-executable"]
    done = subprocess.run(
        [*mypy, str(python), str(program)],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.endswith("PATH")}
        | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


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
