"""The tool that measures cards' operating points: its data sets, and the blocks it writes."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path
from typing import Any

import pytest

TOOLS = Path(__file__).resolve().parents[3] / "tools"

CARD = """\
id = "x"

[license]
name = "MIT"

[[operating_points]]
name = "published"
threshold = 0.5
source = "the article"
evidence = "published"

[[operating_points]]
detector = "b"
name = "fmr-0.001"
threshold = 0.4
fmr = 0.001
source = "docs/reports/x--b.json"
evidence = "measured"

[[operating_points.measured_on]]
data_set = "LFW"
fmr = 0.001

[[operating_points.measured_on]]
data_set = "FaceScrub"
fmr = 0.0002
group = "two women"
group_fmr = 0.0007
"""


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module


def report(fmr: float = 1e-3, threshold: float = 0.123456789) -> dict[str, Any]:
    rates = {"fmr": 4e-4, "fmr_low": 2e-4, "fmr_high": 9e-4, "fnmr": 0.05, "fnmr_low": 0.02}
    more = {"fnmr_high": 0.1, "fnmr_by_person": 0.0754, "group": "", "group_fmr": None}
    other = {"data_set": "FaceScrub", "group": "two women", "group_fmr": 1.234e-3}
    measured_on = [{"data_set": "LFW", **rates, **more}, {**rates, **more, **other}]
    point = {
        "fmr": fmr, "threshold": threshold, "fmr_low": 2e-4, "fmr_high": 9e-4, "fnmr": 0.05,
        "bound_only": False, "measured_on": measured_on,
    }  # fmt: skip
    return {"embedder": "x-copy", "date": "2026-11-28", "points": [point]}


def test_a_data_set_on_the_command_line(tools: Any) -> None:
    parse = tools("measure_data").parse_data_set
    spec = parse("LFW, 5 folds=a/lfw;pairs=p.txt;groups=g.csv;aside=no.txt")
    assert (spec.name, spec.folder, spec.groups) == ("LFW, 5 folds", Path("a/lfw"), "g.csv")
    assert (spec.pairs, spec.aside) == (Path("p.txt"), Path("no.txt"))
    assert parse("F=f").aside is None
    for bad in ("lfw", "=lfw", "F=", "F=f;color=red"):
        with pytest.raises(SystemExit, match="is not NAME=FOLDER"):
            parse(bad)


def test_points_of_one_detector_are_replaced_and_others_stay(tools: Any, tmp_path: Path) -> None:
    write = tools("measure_cards").write_points
    path = tmp_path / "x.toml"
    path.write_text(CARD, "utf-8")
    write("x", "a", report(), "x-copy--a.json", evidence="copy", cards=tmp_path)
    card = tomllib.loads(path.read_text("utf-8"))
    first, second = card["operating_points"]
    assert card["license"] == {"name": "MIT"}
    # The published threshold has no detector and makes room; b's point is what it was.
    assert second == tomllib.loads(CARD)["operating_points"][1]
    assert (first["detector"], first["evidence"], first["name"]) == ("a", "copy", "fmr-0.001")
    assert first["threshold"] == 0.12346  # rounded up
    assert first["source"] == (
        "measured on a copy of the weights, derived from a quantized file, on LFW and FaceScrub, "
        "2026-11-28: docs/reports/x-copy--a.json"
    )
    lfw, scrub = first["measured_on"]
    assert lfw == {
        "data_set": "LFW", "fmr": 4e-4, "fmr_low": 2e-4, "fmr_high": 9e-4, "fnmr": 0.05,
        "fnmr_low": 0.02, "fnmr_high": 0.1, "fnmr_by_person": 0.0754,
    }  # fmt: skip
    assert (scrub["group"], scrub["group_fmr"]) == ("two women", 0.00123)
    # Once more with the same report, and the text is the same.
    text = path.read_text("utf-8")
    write("x", "a", report(), "x-copy--a.json", evidence="copy", cards=tmp_path)
    assert path.read_text("utf-8") == text
    write("x", "b", report(), "x--b.json", cards=tmp_path)
    points = tomllib.loads(path.read_text("utf-8"))["operating_points"]
    assert [point["detector"] for point in points] == ["a", "b"]
    assert len(points[1]["measured_on"]) == 2
    assert points[1]["source"].startswith("measured on LFW and FaceScrub")


def test_an_embedder_that_is_not_packaged_has_its_report_alone(
    tools: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tools("measure_cards").write_points("y", "a", report(), "y--a.json", cards=tmp_path)
    assert "no packaged card" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
