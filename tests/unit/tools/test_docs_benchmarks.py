"""docs/benchmarks.md and its plots, from measurements that are made up."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools"))

from docs_benchmarks import benchmarks_page, ratios_plot, speed_plot
from docs_svg import Bar, Panel, chart

_SVG = "{http://www.w3.org/2000/svg}"


def _side(ms: float, rate: float, way: str) -> dict[str, Any]:
    ways = {way: ms, "loop": 2 * ms} if way == "pool" else {way: ms}
    return {
        "photographs": 100,
        "one": {"ms_mean": ms, "ms_median": ms, "ms_9_of_10_below": 2 * ms},
        "bulk": {"ms": 1000 / rate, "photographs_a_second": rate, "way": way, "ways_ms": ways},
        "faces": {"one": 104, "bulk": 104},
        "peak_mb": 300,
    }


def _ratio(mode: str, median: float | None, asked: float | None) -> dict[str, Any]:
    found = None if median is None else {"median": median, "turns": 9, "quartiles": [median, 9.5]}
    holds = None if median is None or asked is None else median >= asked
    pair = {"ours": "faceprint", "theirs": "insightface at 320", "on": "lfw", "mode": mode}
    return {**pair, "times_as_fast": found, "at_least": asked, "holds": holds}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    facts = {"api": "get(path)", "input": "320 x 320", "versions": {"insightface": "2.1"}}
    pair = {"ours": "faceprint", "theirs": "insightface at 320"}
    part = {
        "photographs": 100,
        "distinct": 100,
        "others_used": 0.034,
        "results": {
            "faceprint": _side(10.0, 150.0, "analyze_many"),
            "insightface at 320": _side(15.0, 100.0, "pool"),
        },
        "agreement": [
            {
                **pair,
                "photographs": 100,
                "faces_ours": 104,
                "faces_theirs": 103,
                "matched": 103,
                "cosine_mean": 0.99871,
            }
        ],
    }
    result = {
        "what": "photograph to embeddings",
        "cpu": "X",
        "cores": 2,
        "date": "2026-01-02",
        "commit": "abc",
        "sides": {"insightface at 320": facts},
        "sets": {"lfw": part},
        "ratios": [_ratio("one", 1.5, 1.3), _ratio("bulk", 1.456, 2.0)],
        "left_out": {"uniface at 320": "no such weights"},
    }
    (tmp_path / "peers_embeddings.json").write_text(json.dumps(result), "utf-8")
    return tmp_path


def test_the_page_has_every_number_and_marks_what_falls_short(results: Path) -> None:
    page = benchmarks_page(results)
    assert (
        "| insightface at 320 | of LFW, 250 x 250 pixels | 1.50 (1.50 to 9.50), asked 1.3 "
        "| **1.46** (1.46 to 9.50), asked 2 | 2.25 |" in page
    )
    assert "| insightface at 320 | 100 | 15.0 | 30.0 | 100.0 | pool | 104 | 300 |" in page
    assert "104 and 103 | 103 | 0.9987 |" in page
    assert "uniface at 320 was left out: no such weights" in page
    assert "a photograph: insightface at 320: pool 15.0, loop 30.0." in page
    assert "insightface 2.1" in page
    assert "other processes had 3 % of the processors" in page
    assert "2026-01-02" in page


def test_a_bar_that_was_missed_is_told_with_what_is_possible(results: Path) -> None:
    row = {"side_of_peers": "faceprint", "on": "lfw", "share_of_the_bare_rate": 0.91}
    (results / "engine.json").write_text(json.dumps({"rows": [row]}), "utf-8")
    page = benchmarks_page(results)
    assert "networks alone take 91 % of" in page
    assert "the ratio would be 1.60." in page


def test_groups_that_were_not_measured_are_left_out(tmp_path: Path) -> None:
    page = benchmarks_page(tmp_path)
    assert "##" not in page
    assert "benchmarks-ratios.svg" not in page
    ElementTree.fromstring(ratios_plot(tmp_path))
    ElementTree.fromstring(speed_plot(tmp_path))


def test_bars_are_as_long_as_their_values(results: Path) -> None:
    drawing = ElementTree.fromstring(speed_plot(results))
    widths = {
        bar.get("class"): float(bar.get("width", 0))
        for bar in drawing.iter(f"{_SVG}rect")
        if bar.get("height") == "15"
    }
    assert widths["ours2"] / widths["theirs2"] == pytest.approx(1.5, rel=0.01)
    assert widths["ours"] / widths["theirs"] == pytest.approx(1.5, rel=0.01)
    drawing = ElementTree.fromstring(ratios_plot(results))
    marks = [line for line in drawing.iter(f"{_SVG}line") if line.get("class") == "mark"]
    assert len(marks) == 3  # one for each bar, one in the legend
    texts = [text.text for text in drawing.iter(f"{_SVG}text")]
    assert "1.50 x" in texts
    assert "insightface at 320" in texts


def test_words_are_escaped_and_nothing_leaves_the_drawing() -> None:
    text = chart([Panel("a < b", [("x & y", [Bar(1, "1", "ours", mark=4.0)])])], [], "d")
    drawing = ElementTree.fromstring(text)
    assert "a < b" in [element.text for element in drawing.iter(f"{_SVG}text")]
    for line in drawing.iter(f"{_SVG}line"):
        assert float(line.get("x2", 0)) <= float(drawing.get("width", 0))
