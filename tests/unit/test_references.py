"""What source, help and docs name is there: paths, modules, commands, options, make targets."""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from snippets import blocks

from faceprint.cli import doctor
from faceprint.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "faceprint"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
SOURCES = [path for top in ("src", "tools", "benchmarks") for path in (ROOT / top).rglob("*.py")]
TEXTS = sorted([*PAGES, *SOURCES, ROOT / "Makefile", ROOT / "pyproject.toml"])

# Options of other programs that pages and messages mention.
FOREIGN_OPTIONS = {
    *("--tolerance", "--show-distance", "--cpus"),  # faceprint.compat.face_recognition
    *("--strict", "--preload", "--schema", "--inserts"),  # mypy, gunicorn, pg_dump
    *("--no-input", "--only-binary", "--no-deps", "--no-index", "--find-links", "--pre"),  # pip
    *("--megabytes", "--machines", "--cores", "--gbit"),
    *("--system", "--home-dir", "--shell", "--now"),  # useradd, systemctl
    *("--rm", "--read-only", "--tmpfs", "--cap-drop", "--security-opt", "--stop-timeout"),  # docker
    *("--nproc-per-node", "--logdir"),  # torchrun, tensorboard
}

FOLDERS = "docs|benchmarks|tools|tests|src|server"
FOLDERS += "|" + "|".join(sorted(path.name for path in PACKAGE.iterdir() if path.is_dir()))
PATH = re.compile(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./-]*\.(?:py|md|toml|json|html|svg))\b")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
MODULE = re.compile(r"(?<![\w./@-])(faceprint(?:\.[A-Za-z_]\w*)+)(?!\w*/)")
COMMAND = re.compile(r"(?:`|^    |^\$ )faceprint ([a-z]+)\b")
GROUP = re.compile(r"\bfaceprint (gallery|models|cache) ([a-z]+)\b(?! fingerprint)")
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z0-9-]+)(?![\w-]*\.)")
MAKE = re.compile(r"`?make ([a-z][a-z-]+)`")


def lines(pattern: re.Pattern[str], paths: list[Path]) -> Iterator[tuple[str, str]]:
    """What a pattern finds, with the place."""
    for path in paths:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            for found in pattern.findall(line):
                yield f"{path.relative_to(ROOT)}:{number}", found


def test_paths_exist() -> None:
    missing = [
        f"{place}: {name}"
        for place, name in lines(PATH, TEXTS)
        if not any((base / name).exists() for base in (ROOT, PACKAGE, PACKAGE / "vision"))
        and "NAME" not in name
        and "EMBEDDER" not in name
    ]
    assert missing == []


def test_links_lead_somewhere() -> None:
    missing = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in PAGES
        for target in LINK.findall(path.read_text("utf-8"))
        if "://" not in target and not (path.parent / target).exists()
    ]
    assert missing == []


def test_documents_that_are_not_shipped_are_not_cited() -> None:
    assert [place for place, _ in lines(re.compile(r"(CONTRACT\.md|STYLE\.md)"), TEXTS)] == []


@pytest.mark.parametrize("number", range(1, 1 + len(list((ROOT / "docs/decisions").glob("0*")))))
def test_decisions_are_numbered_without_a_gap(number: int) -> None:
    (page,) = (ROOT / "docs" / "decisions").glob(f"{number:04d}-*.md")
    heads = re.findall(r"^## (.+)$", page.read_text("utf-8"), re.MULTILINE)
    assert heads[:3] == ["Context", "Choice", "Consequence"]


@cache
def exists(dotted: str) -> bool:
    """Whether a module of that name exists, or an attribute of one."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("faceprint"):  # an extra that is not installed
                return True
            continue
        for name in parts[end:]:
            if not hasattr(value, name):
                return name in getattr(value, "__annotations__", {})
            value = getattr(value, name)
        return True
    return False


def test_modules_exist() -> None:
    later = {"faceprint.NAME", "faceprint.service"}
    missing = [
        f"{place}: {name}"
        for place, name in lines(MODULE, TEXTS)
        if name not in later and not exists(name)
    ]
    assert missing == []


def walk(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    with typer.Context(group) as context:
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            yield f"{prefix}{name}", found
            if hasattr(found, "list_commands"):
                yield from walk(found, f"{prefix}{name} ")


@cache
def commands() -> dict[str, Any]:
    """Every command and group by its name."""
    return dict(walk(typer.main.get_command(app)))


def test_commands_exist() -> None:
    named = {(place, name) for place, name in lines(COMMAND, PAGES)}
    for path in PAGES:
        for block in blocks(path.read_text("utf-8")):
            if block.language in ("", "sh", "console"):
                found = re.findall(r"^(?:\$ )?faceprint ([a-z]+)", block.text, re.M)
                named |= {(path.name, name) for name in found}
    named |= {(place, " ".join(words)) for place, words in lines(GROUP, TEXTS)}
    assert len(named) > 50
    assert sorted(item for item in named if item[1] not in commands()) == []


def options() -> set[str]:
    """Every option of every command, and of the scripts of tools/ and benchmarks/."""
    known = {"--help", "--version", "--debug", "--install-completion", "--show-completion"}
    for command in commands().values():
        known |= {word for item in command.params for word in (*item.opts, *item.secondary_opts)}
    for path in SOURCES:
        known |= set(re.findall(r'add_argument\(\s*"(--[\w-]+)"', path.read_text("utf-8")))
    return known


def test_options_exist() -> None:
    known = options() | FOREIGN_OPTIONS
    texts = [*PAGES, *(path for path in SOURCES if path.is_relative_to(PACKAGE))]
    wrong = [f"{place}: {name}" for place, name in lines(OPTION, texts) if name not in known]
    assert wrong == []


def test_doctor_lists_every_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = set(project["optional-dependencies"]) - {"test", "check", "docs"}
    assert set(doctor._EXTRAS) == extras
    page = (ROOT / "docs" / "decisions" / "0001-dependencies.md").read_text("utf-8")
    assert [name for name in extras if f"`{name}`" not in page] == []


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    wrong = [f"{place}: make {name}" for place, name in lines(MAKE, TEXTS) if name not in targets]
    assert wrong == []


def test_environment_variables_exist() -> None:
    named = re.compile(r"\b(FACEPRINT_[A-Z_]+)\b")
    code = "\n".join(path.read_text("utf-8") for path in SOURCES if "docs_cli" not in path.name)
    tests = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").glob("*.py"))
    read = set(re.findall(r'["\'](FACEPRINT_[A-Z_]+)["\']', code + tests))
    assert [f"{place}: {name}" for place, name in lines(named, PAGES) if name not in read] == []


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    found: set[str] = set()
    for head in re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", head).lower()
        found.add(re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-"))
    return found


def test_anchors_lead_to_headings() -> None:
    link = re.compile(r"\]\(([^)#\s:]*)#([^)\s]+)\)")
    missing = [
        f"{path.relative_to(ROOT)}: {target}#{anchor}"
        for path in PAGES
        for target, anchor in link.findall(path.read_text("utf-8"))
        if anchor not in anchors(path.parent / target if target else path)
    ]
    assert missing == []
