"""README and docs/: each Python and shell block runs, or says why not."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image
from snippets import Block, blocks, run_python, run_shell, same

import faceprint

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = Path(faceprint.__file__).parent / "samples"
PAGES = {
    path.relative_to(ROOT).as_posix(): blocks(path.read_text("utf-8"))
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
RUN = {
    name: [block for block in page if block.language in ("python", "sh", "console")]
    for name, page in PAGES.items()
}
BEGIN_EMPTY = {"docs/quickstart.md", "docs/guide.md"}
"""Pages that say themselves where their photographs come from."""
OTHER_LANGUAGES = {"curl", "toml", "sql", "json", "text", "nginx"}
"""Of blocks without commands, and `curl`, which test_rest_page.py runs."""
COMMAND = re.compile(r"^(?:\$|faceprint|python3?|pip|make|docker|curl) ", re.MULTILINE)
NAMES = {
    "obama": "a ada1 photo obama",
    "obama2": "b ada2 ada probe obama2",
    "biden": "biden",
    "collins": "collins",
}
"""The names that pages give to photographs, by sample."""


def lay_out(folder: Path) -> None:
    """The files that pages speak of."""
    (folder / "photos").mkdir()
    for sample, names in NAMES.items():
        for name in names.split():
            shutil.copy(SAMPLES / f"{sample}.jpg", folder / f"{name}.jpg")
        shutil.copy(SAMPLES / f"{sample}.jpg", folder / "photos")
        (folder / "people" / names.split()[-1]).mkdir(parents=True)
        shutil.copy(SAMPLES / f"{sample}.jpg", folder / "people" / names.split()[-1])
    group = Image.new("RGB", (1000, 600), "white")
    group.paste(Image.open(SAMPLES / "obama2.jpg").resize((480, 600)), (0, 0))
    group.paste(Image.open(SAMPLES / "collins.jpg").resize((512, 512)), (488, 0))
    group.save(folder / "group.jpg")


@pytest.mark.parametrize(
    "name", [name for name, page in RUN.items() if any(not block.reason for block in page)]
)
def test_blocks_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    if name not in BEGIN_EMPTY:
        lay_out(folder)
    monkeypatch.chdir(folder)
    for variable, value in {
        "HOME": str(tmp_path),
        "FACEPRINT_HOME": str(tmp_path / "home"),
        "FACEPRINT_OFFLINE": "1",
        "FACEPRINT_THREADS": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }.items():
        monkeypatch.setenv(variable, value)
    namespace: dict[str, object] = {"__name__": "page"}
    wrong: list[str] = []
    for block in RUN[name]:
        if block.reason:
            continue
        if block.language == "python":
            wrong += filter(None, [run_python(block, namespace)])
        else:
            wrong += run_shell(block, folder, os.environ)
    assert wrong == []


@pytest.mark.parametrize("name", PAGES)
def test_blocks_say_what_they_are(name: str) -> None:
    """No command hides in a block that nothing runs."""
    languages = OTHER_LANGUAGES | {"python", "sh", "console"}
    assert [block.line for block in PAGES[name] if block.language not in languages] == []
    hidden = [
        block.line
        for block in PAGES[name]
        if block.language == "text" and COMMAND.search(block.text)
    ]
    assert hidden == []


def test_expected_lines_are_compared() -> None:
    assert same(
        "match: similarity 0.969, threshold 0.933", "match: similarity 0.970, threshold 0.933"
    )
    assert not same(
        "match: similarity 0.969, threshold 0.933", "match: similarity 0.959, threshold 0.933"
    )
    assert same("0.01 0.917 ...", "0.01 0.9165 0.0162 measured")
    assert not same("True", "False")


def test_wrong_output_is_found(tmp_path: Path) -> None:
    block = Block("python", "print(1.5)\n#> 1.6\n", 1, "")
    assert "printed" in run_python(block, {})
    assert not run_python(Block("python", "print(1.5)\n#> 1.5\n", 1, ""), {})
    shell = Block("console", "$ echo one\ntwo\n$ false\n$ false  # exit code 1\n", 1, "")
    assert len(list(run_shell(shell, tmp_path, os.environ))) == 2


def test_a_mark_belongs_to_the_block_below_it() -> None:
    first, second = blocks("<!-- not run: why -->\n```sh\na\n```\n\n```sh\nb\n```\n")
    assert (first.reason, second.reason) == ("why", "")


def test_the_guides_three_tasks_take_under_ten_lines() -> None:
    page = (ROOT / "docs" / "guide.md").read_text("utf-8")
    for title in ("All photographs of one person", "Attendance", "De-duplicating people"):
        section = page.partition(f"## {title}\n")[2].partition("\n## ")[0]
        (block,) = blocks(section)
        code = [line for line in block.text.splitlines() if line.strip() and line[:2] != "#>"]
        assert 0 < len(code) < 10, title
