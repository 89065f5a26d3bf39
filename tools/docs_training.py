"""Blocks of docs/training.md, and its picture: see docs_measured.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docs_results import NOT_YET, Results, table
from docs_svg import STYLE

__all__ = ["distill", "finetune", "loss_plot", "scratch"]

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 760, 300, 60, 34, 20, 44


def scratch(results: Results) -> str:
    """Accuracy on fold 5 of the network and of the baselines."""
    measured = results.get("train_scratch")
    if measured is None:
        return NOT_YET.format("train_scratch")
    rows = [
        (
            row["name"],
            row["dimension"],
            _share(row["accuracy"], row["low"], row["high"]),
            f"{100 * row['from_training_folds']:.1f} %",
            f"{row['auc']:.3f}",
        )
        for row in measured["rows"]
    ]
    head = ("", "numbers", "accuracy (95 %)", "at the threshold of folds 1 to 4", "AUC")
    return (
        f"{table(head, rows)}\n{measured['people']:,} people, {measured['photographs']:,} "
        f"photographs, {measured['epochs']} epochs in {measured['minutes']:.1f} minutes on "
        f"{measured['threads']} cores ({measured['date']}); {measured['parameters']:,} parameters; "
        f"judged on {measured['pairs']} pairs of people that nothing was trained on.\n"
    )


def distill(results: Results) -> str:
    """TAR of the teacher and of its student."""
    measured = results.get("train_distill")
    if measured is None:
        return NOT_YET.format("train_distill")
    rows = [
        (
            row["name"],
            f"{row['multiplications'] / 1e6:,.0f} million",
            _share(row["tar"], row["low"], row["high"]),
        )
        for row in measured["rows"]
    ]
    head = ("", "multiplications", f"TAR at FAR {measured['far']:g} (95 %)")
    return (
        f"{table(head, rows)}\nWidth {measured['width']:.2f}; {measured['faces']:,} faces without "
        f"names, {measured['epochs']} epochs in {measured['minutes']:.0f} minutes on "
        f"{measured['threads']} cores ({measured['date']}); all pairs of people of LFW's fold 5.\n"
    )


def finetune(results: Results) -> str:
    """FNMR before and after, for covered and for small faces."""
    measured = results.get("finetune")
    if measured is None:
        return NOT_YET.format("finetune")
    rows = []
    for each in measured["summary"]:
        own = [row for row in measured["rows"] if row["aim"] == each["aim"]]
        for name, change in each["fnmr"].items():
            rows.append(
                (
                    f"{each['aim']}, {name}",
                    f"{100 * change['before']:.1f} %",
                    f"{100 * change['after']:.1f} %",
                    f"{-100 * change['fall']:+.0f} %",
                    "; ".join(_interval(row, each["aim"], name) for row in own),
                )
            )
        before, after = (_mean([r["accuracy"][key] for r in own]) for key in ("before", "after"))
        rows.append(
            (
                f"{each['aim']}: accuracy of plain LFW",
                f"{100 * before:.2f} %",
                f"{100 * after:.2f} %",
                f"{0.0 - 100 * each['accuracy_lost']:+.2f} points",
                "; ".join(
                    f"{100 * r['accuracy']['low']:+.1f} to {100 * r['accuracy']['high']:+.1f}"
                    for r in own
                ),
            )
        )
    head = ("", "before", "after", "change", "change in points per seed, 95 %")
    models = "; ".join(
        f"{each['aim']}: {each['model']}, `--layers {each['layers']}`, {each['epochs']} epochs, "
        f"{len(each['seeds'])} seeds"
        for each in measured["summary"]
    )
    return (
        f"{table(head, rows)}\nFNMR at an FMR of 1 %, means over the seeds ({measured['date']}). "
        f"{models}.\n"
    )


def _interval(row: dict[str, Any], aim: str, name: str) -> str:
    (change,) = (c for c in row["changes"] if (c["condition"], c["data_set"]) == (aim, name))
    return f"{100 * change['low']:+.1f} to {100 * change['high']:+.1f}"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _share(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def loss_plot(folder: Path) -> str:
    """The loss of training from scratch over its epochs, as SVG."""
    measured = Results(folder).get("train_scratch") or {"curve": [[0, 0], [1, 0]], "epochs": 1}
    curve = measured["curve"]
    most, last = max(loss for _, loss in curve) or 1.0, curve[-1][0]
    across, down = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    places = [
        (_LEFT + across * epoch / last, _TOP + down * (1 - loss / most)) for epoch, loss in curve
    ]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    title = f"Loss from scratch, over {measured['epochs']} epochs"
    body = [f'<text class="title" x="0" y="20">{title}</text>']
    step = max(1, round(most / 5))
    for value in range(0, int(most) + 1, step):
        height = f"{_TOP + down * (1 - value / most):.1f}"
        body.append(
            f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{height}" y2="{height}"/>'
        )
        place = f'x="{_LEFT - 10}" y="{height}" dy="4" text-anchor="end"'
        body.append(f'<text class="quiet" {place}>{value}</text>')
    for epoch in range(0, int(last) + 1, max(1, round(last / 8))):
        x = f"{_LEFT + across * epoch / last:.1f}"
        y = _HEIGHT - _BOTTOM + 20
        body.append(f'<text class="quiet" x="{x}" y="{y}" text-anchor="middle">{epoch}</text>')
    line = 'fill="none" stroke="currentColor" stroke-width="2"'
    body.append(f'<polyline class="curve" {line} points="{points}"/>')
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" role="img">'
    )
    style = (
        STYLE + "\n.curve { color: #0b7a75 }\n"
        "@media (prefers-color-scheme: dark) { .curve { color: #3fb9b1 } }"
    )
    words = "<title>The loss of a MobileFaceNet that is trained from scratch</title>"
    return "\n".join([head, words, f"<style>{style}</style>", *body, "</svg>"]) + "\n"
