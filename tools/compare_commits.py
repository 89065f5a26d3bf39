"""Compare what two commits answer about the same photographs, to the bit.

    python tools/compare_commits.py OLD NEW FOLDER [--count 300] [--pack NAME]

Both commits are checked out into a temporary folder and run with this interpreter. `detect`,
`embed`, `verify`, `identify` and `cluster` each run on the same photographs; JSON is compared as
text and embedding tables array by array. The exit code is 1 when something differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]


class Commit:
    """One commit, checked out, and what its command line prints."""

    def __init__(self, name: str, folder: Path) -> None:
        self.home = folder
        source = folder / "source"
        git = ["git", "-C", str(ROOT), "worktree", "add", "--quiet", "--detach", str(source), name]
        subprocess.run(git, check=True)
        self.environment = os.environ | {
            "PYTHONPATH": str(source / "src"),
            "FACEPRINT_HOME": os.environ.get("FACEPRINT_HOME", str(folder / "home")),
            "FACEPRINT_OFFLINE": os.environ.get("FACEPRINT_OFFLINE", "1"),
        }

    def run(self, *words: str) -> str:
        """What the command prints; its exit code is its last line."""
        command = [sys.executable, "-m", "faceprint", *words]
        done = subprocess.run(
            command, cwd=self.home, env=self.environment, capture_output=True, text=True
        )
        if done.returncode > 1:
            print(done.stderr, file=sys.stderr)
        return f"{done.stdout}\nexit code {done.returncode}"


def photographs(folder: Path, count: int) -> list[str]:
    """A fixed random choice of the folder's photographs, by path."""
    found = sorted(str(path) for path in folder.resolve().rglob("*.jpg"))
    return sorted(random.Random(7).sample(found, min(count, len(found))))


def answers(commit: Commit, chosen: list[str], pack: list[str]) -> Iterator[tuple[str, object]]:
    """The name of each command and what it answered."""
    yield "detect", commit.run("detect", *chosen, "--json", *pack)
    commit.run("embed", *chosen, "--out", "table.npz", *pack)
    with np.load(commit.home / "table.npz") as table:
        yield "embed", {name: (table[name].dtype, table[name].tobytes()) for name in table.files}
    for one, other in zip(chosen[:30:2], chosen[1:30:2], strict=True):
        yield "verify", commit.run("verify", one, other, "--json", *pack)
    people = sorted({str(Path(path).parent) for path in chosen})[:40]
    for number, person in enumerate(people):
        first = next(path for path in chosen if Path(path).parent == Path(person))
        commit.run("enroll", "gallery.db", f"person-{number}", first, *pack)
    yield "identify", commit.run("identify", "gallery.db", *chosen[:100], "--json", *pack)
    yield "cluster", commit.run("cluster", "--from", "table.npz", "--json", *pack)
    yield "cluster --state", commit.run("cluster", *chosen, "--state", "a.db", "--json", *pack)


def plain(answer: object) -> object:
    """The answer without the seconds that it took."""
    if not isinstance(answer, str):
        return answer
    lines = []
    for line in answer.splitlines():
        try:
            document = json.loads(line)
        except ValueError:
            lines.append(line)
            continue
        if isinstance(document, dict):
            document.pop("seconds", None)
        lines.append(json.dumps(document))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--pack")
    options = parser.parse_args()
    chosen = photographs(options.folder, options.count)
    pack = ["--pack", options.pack] if options.pack else []
    with tempfile.TemporaryDirectory() as folder:
        both = []
        for name, side in ((options.old, "old"), (options.new, "new")):
            home = Path(folder) / side
            home.mkdir()
            both.append(Commit(name, home))
        differing = 0
        try:
            pairs = zip(*(answers(commit, chosen, pack) for commit in both), strict=True)
            counts: dict[str, list[int]] = {}
            for (command, old), (_, new) in pairs:
                same = plain(old) == plain(new)
                differing += not same
                counts.setdefault(command, [0, 0])[0 if same else 1] += 1
        finally:
            for commit in both:
                remove = ["git", "-C", str(ROOT), "worktree", "remove", "--force"]
                subprocess.run([*remove, str(commit.home / "source")], check=False)
        for command, (equal, other) in counts.items():
            print(f"{command}: {equal} answers the same, {other} differ")
    print(f"{len(chosen)} photographs of {options.folder}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
