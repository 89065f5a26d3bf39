"""Numbers in pages: blocks are made anew, the rest is left alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools"))

from docs_measured import BLOCKS, PAGES, measured_page  # noqa: E402


def test_a_block_takes_its_numbers_from_the_json(tmp_path: Path) -> None:
    part = {
        "photographs": 9,
        "ms_a_photograph": {
            "dlib": 100.0,
            "faceprint, one at a time": 20.0,
            "faceprint, stream": 10.0,
        },
        "times_faster_than_dlib": {"faceprint, one at a time": 5.04, "faceprint, stream": 10.0},
    }
    measured = {"cores": 2, "lfw_250_pixels": part, "above_a_megapixel": part}
    (tmp_path / "pipeline.json").write_text(json.dumps(measured))
    page = "before\n<!-- measured: against-dlib -->\nold\n<!-- end -->\nafter\n"
    made = measured_page(page, tmp_path)
    assert made.startswith("before\n<!-- measured: against-dlib -->\n| photographs | dlib |")
    assert "| 9 of 250 pixels | 100 ms | 20.0 ms, 5.0 x | 10.0 ms, 10.0 x |\n" in made
    assert "old" not in made
    assert made.endswith("<!-- end -->\nafter\n")
    assert measured_page(made, tmp_path) == made


def test_a_page_without_blocks_is_left_as_it_is(tmp_path: Path) -> None:
    assert measured_page("a <!-- end -->\n", tmp_path) == "a <!-- end -->\n"
    with pytest.raises(KeyError):
        measured_page("<!-- measured: nothing -->\n<!-- end -->\n", tmp_path)


def test_every_block_stands_in_a_page() -> None:
    pages = "".join((ROOT / name).read_text("utf-8") for name in PAGES)
    assert all(f"<!-- measured: {name} -->" in pages for name in BLOCKS)
