"""Write the generated pages of docs/, or check that they are what would be written.

    python tools/make_docs.py            writes the pages and pictures of PAGES below
    python tools/make_docs.py --check    exit code 1, naming each page that is stale

Needs the package and nothing else: no model is opened, no network is touched, and the width of the
terminal and the user's own cards make no difference.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from docs_architecture import architecture_page
from docs_benchmarks import benchmarks_page, ratios_plot, speed_plot
from docs_cli import cli_page
from docs_measured import PAGES as MEASURED
from docs_measured import measured_page
from docs_models import models_page
from docs_python import python_page
from docs_scaling import scaling_page
from docs_training import loss_plot

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def _measured(name: str) -> str:
    text = (ROOT / name).read_text("utf-8")
    return measured_page(scaling_page(text, RESULTS), RESULTS)


PAGES: dict[str, Callable[[], str]] = {
    "docs/cli.md": cli_page,
    "docs/python.md": python_page,
    "docs/architecture.md": partial(
        architecture_page, ROOT / "docs" / "architecture.md", ROOT / "src" / "faceprint"
    ),
    "docs/models.md": lambda: models_page(RESULTS / "lfw.json"),
    **{name: partial(_measured, name) for name in MEASURED},
    "docs/benchmarks.md": lambda: benchmarks_page(RESULTS),
    "docs/images/benchmarks-ratios.svg": lambda: ratios_plot(RESULTS),
    "docs/images/benchmarks-speed.svg": lambda: speed_plot(RESULTS),
    "docs/images/train-scratch.svg": lambda: loss_plot(RESULTS),
}


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Exit code 1: a page is stale (with --check)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(arguments).check
    stale = 0
    for name, make in PAGES.items():
        path, text = root / name, make()
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        if check:
            stale += 1
            print(f"{name} is stale; `make docs` writes it", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            print(f"wrote {name}")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
