"""The site builds strictly, and a reader's browser fetches nothing from elsewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FETCHED = re.compile(
    r"<(?:script|img|iframe)[^>]*\ssrc=\"(https?:[^\"]+)|<link ([^>]*https?:[^>]*)>"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for module in ("material", "mkdocstrings"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed (extra `docs`)")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "-d",
            str(folder),
            "-f",
            str(ROOT / "mkdocs.yml"),
        ],
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_there(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    built = {path.relative_to(site).with_suffix(".md") for path in site.rglob("*.html")}
    assert pages <= built


def test_nothing_comes_from_elsewhere(site: Path) -> None:
    fetched = [
        (path.name, *found)
        for path in site.rglob("*.html")
        for found in FETCHED.findall(path.read_text("utf-8"))
        if 'rel="canonical"' not in found[1]
    ]
    assert fetched == []


def test_the_reference_has_the_docstrings(site: Path) -> None:
    text = (site / "reference.html").read_text("utf-8")
    for words in ("analyze_many", "is_match", "enroll_many", "GalleryLockedError"):
        assert words in text
