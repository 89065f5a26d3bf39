"""The size budget counts what stands below a signature."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools"))

import check_file_length


def test_lines_below_the_signature_count() -> None:
    body = "\n".join(["    x = 1"] * 60)
    assert list(check_file_length.long_functions(f"def f(\n    a,\n    b,\n):\n{body}\n")) == []
    longer = f'def f(a):\n    """Docstring."""\n{body}\n'
    assert list(check_file_length.long_functions(longer)) == [("f", 61)]
