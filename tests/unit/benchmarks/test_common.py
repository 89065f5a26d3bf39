"""What benchmarks record: the commit, and whether the tree was clean."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))

from _common import commit


def git(root: Path, *words: str) -> str:
    author = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    done = subprocess.run(["git", *author, *words], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_results_do_not_make_the_tree_dirty_and_other_changes_do(tmp_path: Path) -> None:
    result = tmp_path / "benchmarks" / "results" / "lfw.json"
    result.parent.mkdir(parents=True)
    source = tmp_path / "source.py"
    for path in (result, source):
        path.write_text("1")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "One")
    head = git(tmp_path, "rev-parse", "--short", "HEAD")
    result.write_text("2")
    (tmp_path / "new.txt").write_text("untracked")
    assert commit(tmp_path) == head
    source.write_text("2")
    assert commit(tmp_path) == f"{head}-dirty"
    git(tmp_path, "add", "source.py")
    assert commit(tmp_path) == f"{head}-dirty"
    git(tmp_path, "commit", "-qm", "Two")
    assert commit(tmp_path) == git(tmp_path, "rev-parse", "--short", "HEAD")
