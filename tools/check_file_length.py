"""The file budget: about 150 lines, 300 where the subject needs it; more fails the check."""

from __future__ import annotations

import sys
from pathlib import Path

LIMIT = 300


def main() -> int:
    """Print the files over the limit; 1 when there are any."""
    root = Path(__file__).resolve().parents[1]
    files = [path for top in ("src", "tools", "benchmarks") for path in (root / top).rglob("*.py")]
    counts = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    for path, count in sorted(counts.items(), key=lambda entry: -entry[1]):
        if count > LIMIT:
            print(f"{path.relative_to(root)}: {count} lines, the budget is {LIMIT}")
    ordered = sorted(counts.values())
    print(f"{len(ordered)} files, median {ordered[len(ordered) // 2]} lines, longest {ordered[-1]}")
    return int(ordered[-1] > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
