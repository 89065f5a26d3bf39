"""The code blocks of a Markdown page: which there are, and how they are run.

A page's blocks run in their order, in one folder, since later ones use what earlier ones made:

- `python`: in one namespace for the page. Lines that begin with `#> ` hold what is printed.
- `sh`: each line is a command that ends with 0. `pip` lines are left out.
- `console`: a line with `$ ` is a command; the lines below it are printed, in any order. `...`
  stands for any text. `# exit code N` behind a command says how it ends.

Numbers with decimals may differ by 0.0015, as they do between processors. A comment
`<!-- not run: REASON -->` before a block leaves it out.
"""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Block", "blocks", "run_python", "run_shell", "same"]

FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>.+?) -->\n+)?^```(?P<language>[\w-]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
NUMBER = re.compile(r"-?\d+\.\d+")
EXIT_CODE = re.compile(r"\s+# exit code (\d)$")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    line: int
    reason: str
    """Why it is not run; empty if it is."""


def blocks(page: str) -> list[Block]:
    """The blocks of a page, in their order."""
    return [
        Block(
            found["language"],
            found["text"],
            page.count("\n", 0, found.start("language")) + 1,
            found["reason"] or "",
        )
        for found in FENCE.finditer(page)
    ]


def same(expected: str, actual: str) -> bool:
    """Whether two lines agree: `...` stands for anything, decimals may differ by 0.0015."""
    pattern, numbers, rest = "", [], expected.strip()
    for piece in re.split(r"(\.\.\.|-?\d+\.\d+)", rest):
        if piece == "...":
            pattern += ".*"
        elif NUMBER.fullmatch(piece):
            pattern += r"(-?\d+\.\d+(?:e-?\d+)?)"
            numbers.append(float(piece))
        else:
            pattern += re.escape(piece)
    found = re.fullmatch(pattern, actual.strip())
    return found is not None and all(
        abs(float(number) - wanted) <= 0.0015
        for number, wanted in zip(found.groups(), numbers, strict=True)
    )


def run_python(block: Block, namespace: dict[str, Any]) -> str:
    """What is wrong with the block's output; empty if nothing is. Its own errors are raised."""
    printed = io.StringIO()
    code = compile("\n" * block.line + block.text, "page", "exec")
    with contextlib.redirect_stdout(printed):
        exec(code, namespace)
    expected = [line[3:] for line in block.text.splitlines() if line.strip().startswith("#> ")]
    expected = [line.strip().removeprefix("#>").strip() for line in expected]
    actual = printed.getvalue().splitlines()
    if expected and not (
        len(expected) == len(actual)
        and all(same(*lines) for lines in zip(expected, actual, strict=True))
    ):
        return f"line {block.line}: printed {actual}, not {expected}"
    return ""


def run_shell(block: Block, folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with each command of a block."""
    for command, expected in _commands(block):
        code = EXIT_CODE.search(command)
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=dict(environment),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != (int(code[1]) if code else 0):
            yield f"line {block.line}: `{command}` ended with {done.returncode}: {done.stderr}"
        printed = [*done.stdout.splitlines(), *done.stderr.splitlines()]
        for line in expected:
            if not any(same(line, actual) for actual in printed):
                yield f"line {block.line}: `{command}` did not print {line!r}, but {printed}"


def _commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Each command with the lines that it prints."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "sh":
        for line in lines:
            if line.strip() and not line.startswith(("#", "pip ")):
                yield line, []
        return
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield lines[start][2:], [line for line in lines[start + 1 : end] if line.strip()]
