"""Figures of a report, as SVG, with matplotlib (extra `report`) and none of its global state."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceprint._optional import require
from faceprint.evaluation.intervals import RULE_OF_30, Rate
from faceprint.evaluation.metrics import Roc, normal_deviate
from faceprint.evaluation.result import GroupRates
from faceprint.recognition.thresholds.score_map import Reliability

__all__ = [
    "det_figure",
    "groups_figure",
    "histogram_figure",
    "reliability_figure",
    "roc_figure",
    "svg",
]

MATED, OTHER, INK, QUIET = "#20639b", "#c8642b", "#30343b", "#8a9099"
_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5)


def roc_figure(curve: Roc, fmr: float, fnmr: float) -> Any:
    """True accept rate over false accept rate, the latter on a logarithmic axis.

    The line is dashed where fewer than 30 false matches stand behind it; the dot is the threshold
    of the report.
    """
    figure, axes = _figure()
    least = 1 / curve.non_mated
    x, y = np.maximum(curve.fmr, least / 2), 1 - curve.fnmr
    seen = _visible(np.log(x), y)
    _line(axes, x[seen], y[seen], curve.false_matches[seen] >= RULE_OF_30)
    axes.plot([max(fmr, least / 2)], [1 - fnmr], "o", color=OTHER, markersize=6, zorder=4)
    axes.set_xscale("log")
    axes.set_xlim(least / 2, 1)
    axes.set_ylim(max(0.0, min(0.98, float(y[np.searchsorted(x, least)]) - 0.05)), 1.002)
    axes.set_xlabel("false accept rate")
    axes.set_ylabel("true accept rate")
    return figure


def det_figure(curve: Roc, fmr: float, fnmr: float) -> Any:
    """FNMR over FMR, both as normal deviates (Martin et al. 1997); the diagonal holds the EER.

    The line is dashed where fewer than 30 errors of either kind stand behind it.
    """
    figure, axes = _figure()
    low = min(1 / curve.non_mated, 1 / curve.mated) / 2
    rates = np.clip(np.stack([curve.fmr, curve.fnmr]), low, 1 - low)
    seen = _visible(*np.log(rates))
    firm = (curve.false_matches >= RULE_OF_30) & (curve.false_non_matches >= RULE_OF_30)
    start, end = normal_deviate([low, 0.6])
    axes.plot([start, end], [start, end], color=QUIET, linewidth=0.8, zorder=1)
    x, y = normal_deviate(rates[:, seen])
    _line(axes, x, y, firm[seen])
    axes.plot(*normal_deviate(np.maximum([[fmr], [fnmr]], low)), "o", color=OTHER, markersize=6)
    ticks = [tick for tick in _TICKS if tick >= low]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(normal_deviate(ticks), [_percent(tick) for tick in ticks])
    axes.set_xlim(start, end)
    axes.set_ylim(start, end)
    axes.set_xlabel("false match rate")
    axes.set_ylabel("false non-match rate")
    return figure


def histogram_figure(similarities: ArrayLike, mated: ArrayLike, threshold: float) -> Any:
    """How the similarities of both kinds of pair are spread, each to the area one."""
    scores, labels = np.asarray(similarities, np.float64), np.asarray(mated, np.bool_)
    figure, axes = _figure()
    edges = np.linspace(float(scores.min()), max(float(scores.max()), scores.min() + 1e-6), 81)
    for kind, color, name in ((~labels, OTHER, "non-mated"), (labels, MATED, "mated")):
        label = f"{name} ({int(kind.sum()):,})"
        axes.hist(
            scores[kind], edges, density=True, histtype="stepfilled", alpha=0.55, color=color,
            label=label,
        )  # fmt: skip
    axes.axvline(threshold, color=INK, linewidth=1.2)
    axes.annotate(
        f"{threshold:.3f}", (threshold, 0.97), (4, 0), ("data", "axes fraction"), "offset points",
        color=INK, fontsize=9, va="top",
    )  # fmt: skip
    axes.set_yticks([])
    axes.set_xlabel("similarity")
    # Above the axes, so that no bar is covered.
    axes.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return figure


def groups_figure(groups: Sequence[GroupRates]) -> Any:
    """FMR and FNMR of each group at one threshold, with intervals; hollow where only a bound.

    Bars of groups with fewer than 30 pairs may run out of the picture.
    """
    figure, both = _figure(2, height=max(2.2, 0.34 * len(groups) + 1.0))
    places = np.arange(len(groups))[::-1]
    for axes, color, name in zip(both, (OTHER, MATED), ("fmr", "fnmr"), strict=True):
        for place, entry in zip(places, groups, strict=True):
            rate: Rate = getattr(entry.rates, name)
            if not rate.trials:
                continue
            axes.plot([100 * rate.low, 100 * rate.high], [place, place], color=color, linewidth=2)
            face = "white" if rate.value is None else color
            axes.plot(
                [100 * rate.observed], [place], "o", color=color, markerfacecolor=face,
                markersize=6, zorder=3,
            )  # fmt: skip
        axes.set_yticks(places, [_shortened(entry.group) for entry in groups])
        axes.set_ylim(-0.6, len(groups) - 0.4)
        # A group of few pairs has a wide interval, which must not set the scale.
        rates = [getattr(entry.rates, name) for entry in groups]
        told = [100 * rate.high for rate in rates if rate.trials >= RULE_OF_30]
        axes.set_xlim(0, 1.1 * max(told) if told else 100)
        axes.set_xlabel(f"{name.upper()}, %")
        axes.grid(axis="y", visible=False)
    both[1].tick_params(labelleft=False)
    return figure


def reliability_figure(found: Reliability) -> Any:
    """The share of mated pairs over the probability that was promised."""
    figure, axes = _figure()
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8)
    axes.plot(found.predicted, found.observed, "o-", color=MATED, linewidth=1.6, markersize=5)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("probability promised")
    axes.set_ylabel("share of mated pairs")
    return figure


def svg(figure: Any) -> bytes:
    """The figure as an SVG file, the same bytes every time."""
    matplotlib = require("matplotlib", extra="report")
    out = io.BytesIO()
    # Text stays text, so that the reader's browser draws names in scripts that this font lacks.
    with (
        matplotlib.rc_context({"svg.hashsalt": "faceprint", "svg.fonttype": "none"}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def _figure(columns: int = 1, height: float = 3.6) -> tuple[Any, Any]:
    figures = require("matplotlib.figure", extra="report")
    figure = figures.Figure(
        figsize=(4.8 * (1.4 if columns > 1 else 1), height), layout="constrained"
    )
    every = figure.subplots(1, columns, squeeze=False)[0]
    for axes in every:
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("bottom", "left"):
            axes.spines[side].set_color(QUIET)
        axes.tick_params(colors=INK, labelsize=9, length=3)
        axes.grid(color="#e6e8eb", linewidth=0.7)
        axes.set_axisbelow(True)
    return figure, (every if columns > 1 else every[0])


def _line(
    axes: Any, x: NDArray[np.float64], y: NDArray[np.float64], firm: NDArray[np.bool_]
) -> None:
    axes.plot(x, y, color=MATED, linewidth=1.2, linestyle=(0, (2, 2)), zorder=2)
    axes.plot(x[firm], y[firm], color=MATED, linewidth=2, zorder=3, solid_capstyle="round")


def _visible(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of the points of a long curve that can be told apart in the plot."""
    along = np.zeros(len(x))
    for axis in (x, y):
        along += np.cumsum(np.abs(np.diff(axis, prepend=axis[:1]))) / (np.ptp(axis) or 1.0)
    places = np.searchsorted(along, np.linspace(0, along[-1], 1200))
    return np.unique(places.clip(0, len(x) - 1))


def _percent(rate: float) -> str:
    return f"{100 * rate:g} %"


def _shortened(name: str) -> str:
    # A dollar sign would start mathematics.
    text = name if len(name) <= 24 else name[:23] + "…"
    return text.replace("$", r"\$") or "(none)"
