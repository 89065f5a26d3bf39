"""Horizontal bars as SVG, the same bytes on every machine, readable on light and dark pages.

Written by hand and not by a plotting library: a page that is compared byte for byte must not change
with a library's version, and an SVG can follow the reader's color scheme.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["STYLE", "Bar", "Panel", "chart"]

STYLE = """\
text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif }
text { fill: #1f2328 }
.title { font-weight: 600; font-size: 14px } .quiet { fill: #59636e }
.ours { fill: #0b7a75 } .ours2 { fill: #6fb5b1 }
.theirs { fill: #6e7781 } .theirs2 { fill: #b4bcc5 }
.mark { stroke: #bc4c00; stroke-width: 2 } .axis { stroke: #d1d9e0 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .quiet { fill: #9198a1 }
.ours { fill: #3fb9b1 } .ours2 { fill: #1d6a66 }
.theirs { fill: #9198a1 } .theirs2 { fill: #4d555e }
.mark { stroke: #f0883e } .axis { stroke: #3d444d }
}"""

_WIDTH, _LEFT, _RIGHT = 760, 250, 110
_BAR, _GAP, _GROUP, _TITLE, _LEGEND = 15, 3, 11, 34, 30


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its length in the panel's unit, what stands behind it, a class of the style.

    Attributes:
        mark: where a line across the bar says what was asked; None for no line.
    """

    value: float
    text: str
    kind: str
    mark: float | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """A title, and rows of a label with its bars, on one scale.

    Attributes:
        even: where a thin line runs through all rows, as at a ratio of 1; None for no line.
    """

    title: str
    rows: Sequence[tuple[str, Sequence[Bar]]]
    even: float | None = None


def chart(panels: Sequence[Panel], legend: Sequence[tuple[str, str]], description: str) -> str:
    """The SVG's text.

    Args:
        legend: (class, words); the classes `mark` and `axis` are drawn as lines.
        description: for readers who don't see it.
    """
    body: list[str] = []
    y = 4
    for panel in panels:
        y = _panel(body, panel, y)
    y = _legend(body, legend, y)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" '
        f'height="{y}" role="img">'
    )
    title = f"<title>{escape(description)}</title>"
    return "\n".join([head, title, f"<style>{STYLE}</style>", *body, "</svg>"]) + "\n"


def _panel(body: list[str], panel: Panel, y: int) -> int:
    bars = [bar for _, row in panel.rows for bar in row]
    longest = max((max(bar.value, bar.mark or 0) for bar in bars), default=1) or 1
    scale = (_WIDTH - _LEFT - _RIGHT) / longest
    body.append(f'<text class="title" x="0" y="{y + 18}">{escape(panel.title)}</text>')
    top = y = y + _TITLE
    for label, row in panel.rows:
        height = len(row) * (_BAR + _GAP) - _GAP
        body.append(
            f'<text x="{_LEFT - 12}" y="{y + height / 2 + 4.5:g}" text-anchor="end">'
            f"{escape(label)}</text>"
        )
        for bar in row:
            _bar(body, bar, y, scale)
            y += _BAR + _GAP
        y += _GROUP - _GAP
    for value in sorted({0.0, panel.even or 0.0}):
        x = f"{_LEFT + value * scale:g}"
        body.append(f'<line class="axis" x1="{x}" x2="{x}" y1="{top - 4}" y2="{y - 4}"/>')
    return y + 6


def _bar(body: list[str], bar: Bar, y: int, scale: float) -> None:
    width = bar.value * scale
    body.append(
        f'<rect class="{bar.kind}" x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="1"/>'
    )
    end = width
    if bar.mark is not None:
        mark = bar.mark * scale
        x = f"{_LEFT + mark:.1f}"
        body.append(f'<line class="mark" x1="{x}" x2="{x}" y1="{y - 1}" y2="{y + _BAR + 1}"/>')
        # The number stands at the bar's end, and beyond the mark where that would cross it.
        if width < mark < width + 14 + 7 * len(bar.text):
            end = mark
    body.append(f'<text x="{_LEFT + end + 7:.1f}" y="{y + 12}">{escape(bar.text)}</text>')


def _legend(body: list[str], legend: Sequence[tuple[str, str]], y: int) -> int:
    x = 0 if sum(40 + 7 * len(words) for _, words in legend) > _WIDTH - _LEFT else _LEFT
    for kind, words in legend:
        if kind in ("mark", "axis"):
            ends = f'x1="{x + 6}" x2="{x + 6}" y1="{y + 3}" y2="{y + 17}"'
            body.append(f'<line class="{kind}" {ends}/>')
        else:
            body.append(f'<rect class="{kind}" x="{x}" y="{y + 4}" width="12" height="12" rx="1"/>')
        body.append(f'<text class="quiet" x="{x + 18}" y="{y + 15}">{escape(words)}</text>')
        x += 18 + round(6.9 * len(words)) + 22
    return y + _LEGEND
