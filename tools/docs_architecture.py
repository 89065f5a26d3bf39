"""The list of modules in docs/architecture.md, read from the docstrings of the modules."""

from __future__ import annotations

import ast
from pathlib import Path

__all__ = ["architecture_page"]

_BEGIN, _END = "<!-- begin: tools/docs_architecture.py -->\n", "<!-- end -->\n"


def architecture_page(page: Path, package: Path) -> str:
    """The page with its list of modules rewritten.

    Args:
        page: docs/architecture.md.
        package: src/faceprint.
    """
    head, begin, rest = page.read_text("utf-8").partition(_BEGIN)
    return head + begin + _modules(package) + _END + rest.partition(_END)[2]


def _modules(package: Path) -> str:
    folders: dict[Path, list[Path]] = {}
    for path in sorted(package.rglob("*.py")):
        if path.name != "__init__.py":
            folders.setdefault(path.parent, []).append(path)
    lines = []
    for folder in sorted(folders):
        name = folder.relative_to(package.parent).as_posix()
        lines += [f"### {name}", "", "| module | |", "|---|---|"]
        lines += [f"| `{path.name}` | {_summary(path)} |" for path in folders[folder]]
        lines.append("")
    return "\n".join(lines)


def _summary(path: Path) -> str:
    """The first sentence or paragraph of a module's docstring, as a cell of a table."""
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")
