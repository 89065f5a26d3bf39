"""Writes measured operating points into packaged embedder cards."""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path
from typing import Any, Literal

__all__ = ["CARDS", "write_points"]

CARDS = Path(__file__).resolve().parents[1] / "src" / "faceprint" / "zoo" / "cards"
DIGITS = 5
_POINT = re.compile(
    r"\n\[\[operating_points\]\]\n(?:[^\[\n].*\n)*(?:\n?\[\[operating_points\.[^\n]*\n(?:[^\[\n].*\n)*)*"
)
_RATES = ("fmr", "fmr_low", "fmr_high", "fnmr", "fnmr_low", "fnmr_high", "fnmr_by_person")


def write_points(
    embedder: str,
    detector: str,
    report: dict[str, Any],
    name: str,
    *,
    evidence: Literal["measured", "copy"] = "measured",
    cards: Path = CARDS,
) -> None:
    """Put the points of this detector into the packaged card of the embedder.

    Points of other detectors stay as they are; a published threshold without a detector makes room.

    Args:
        report: that of the weights that were measured.
        name: the report's file name.
        evidence: "copy" when the report is of a copy of the card's weights.
    """
    path = cards / f"{embedder}.toml"
    if not path.is_file():
        print(f"  {embedder} is no packaged card; the report stands alone")
        return
    text = path.read_text("utf-8")
    kept = [block for block in _POINT.findall(text) if _detector(block) not in ("", detector)]
    fresh = [_block(detector, point, report, name, evidence) for point in report["points"]]
    blocks = "".join(sorted((b.rstrip("\n") + "\n" for b in kept + fresh), key=_order))
    path.write_text(_POINT.sub("", text).rstrip("\n") + "\n" + blocks, "utf-8")
    print(f"  {path.name}: {len(kept) + len(fresh)} operating points")


def _point(block: str) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(block)["operating_points"][0]
    return found


def _detector(block: str) -> str:
    return str(_point(block).get("detector", ""))


def _order(block: str) -> tuple[str, float]:
    point = _point(block)
    return str(point.get("detector", "")), -float(point.get("fmr", 1))


def _block(
    detector: str, point: dict[str, Any], report: dict[str, Any], name: str, evidence: str
) -> str:
    # Rounded up: a lower threshold would let more pairs match than were counted.
    scale = 10**DIGITS
    threshold = math.ceil(point["threshold"] * scale) / scale
    sets = " and ".join(each["data_set"] for each in point["measured_on"])
    what = "measured on"
    if evidence == "copy":
        what = "measured on a copy of the weights, derived from a quantized file, on"
    source = f"{what} {sets}, {report['date']}: docs/reports/{name}"
    if point["bound_only"]:
        source += f"; the FMR is a bound, {100 * point['fmr_high']:.2g} % at most"
    lines = [
        "",
        "[[operating_points]]",
        f'detector = "{detector}"',
        f'name = "fmr-{point["fmr"]:g}"',
        f"threshold = {threshold:.{DIGITS}f}",
        f"fmr = {point['fmr']:g}",
        f"fmr_low = {_digits(point['fmr_low'])}",
        f"fmr_high = {_digits(point['fmr_high'])}",
        f"fnmr = {_digits(point['fnmr'])}",
        f'source = "{source}"',
        f'evidence = "{evidence}"',
    ]
    for each in point["measured_on"]:
        lines += ["", "[[operating_points.measured_on]]", f'data_set = "{each["data_set"]}"']
        lines += [f"{key} = {_digits(each[key])}" for key in _RATES if each[key] is not None]
        if each["group"]:
            lines += [f'group = "{each["group"]}"', f"group_fmr = {_digits(each['group_fmr'])}"]
    return "\n".join(lines) + "\n"


def _digits(value: float) -> str:
    return f"{value:.3g}" if value else "0.0"
