"""The size budget: Python files and the page's scripts have 300 lines at most, functions of `cli/`
60 below their signature.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 300
FUNCTION_LIMIT = 60


def long_functions(source: str) -> Iterator[tuple[str, int]]:
    """The functions with more than FUNCTION_LIMIT lines below their signature."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.body[0].lineno + 1
            if lines > FUNCTION_LIMIT:
                yield node.name, lines


def main(root: Path = ROOT) -> int:
    """Print what is over the budget; 1 when anything is."""
    files = [path for top in ("src", "tools", "benchmarks") for path in (root / top).rglob("*.py")]
    files += (root / "src").rglob("static/*.js")
    counts = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    over = 0
    for path, count in sorted(counts.items(), key=lambda entry: -entry[1]):
        if count > LIMIT:
            over += 1
            print(f"{path.relative_to(root)}: {count} lines, the budget is {LIMIT}")
        if path.parent.name == "cli" and path.suffix == ".py":
            for name, lines in long_functions(path.read_text(encoding="utf-8")):
                over += 1
                print(
                    f"{path.relative_to(root)}: {name} has {lines} lines, {FUNCTION_LIMIT} at most"
                )
    ordered = sorted(counts.values())
    print(f"{len(ordered)} files, median {ordered[len(ordered) // 2]} lines, longest {ordered[-1]}")
    return int(over > 0)


if __name__ == "__main__":
    sys.exit(main())
