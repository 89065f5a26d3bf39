"""Numbers in pages that people write, from what benchmarks/ measured.

A page holds `<!-- measured: NAME -->` and `<!-- end -->`; between them stands what the function of
that name in BLOCKS makes of benchmarks/results/*.json. `tools/make_docs.py` writes it and checks it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["PAGES", "measured_page"]

PAGES = (
    "README.md",
    "docs/performance.md",
    "docs/scaling.md",
    "docs/galleries.md",
    "docs/albums.md",
    "docs/decisions/0004-smallest-face.md",
    "docs/decisions/0006-clustering.md",
    "docs/decisions/0007-optimiser.md",
    "docs/decisions/0008-signs.md",
)

_MARK = re.compile(r"(<!-- measured: ([a-z-]+) -->\n).*?(<!-- end -->\n)", re.DOTALL)
_SETS = {"lfw_250_pixels": "250 pixels", "above_a_megapixel": "above a megapixel"}
_ONE, _STREAM = "faceprint, one at a time", "faceprint, stream"


class Results:
    """The JSON files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, name: str) -> Any:
        return json.loads((self._folder / f"{name}.json").read_text("utf-8"))


def measured_page(text: str, folder: Path) -> str:
    """The page with every block made anew.

    Raises:
        KeyError: a name that BLOCKS does not have.
    """
    results = Results(folder)
    return _MARK.sub(lambda found: found[1] + BLOCKS[found[2]](results) + found[3], text)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in lines)


def _times(value: float) -> str:
    return f"{value:.1f}"


def speed(results: Results) -> str:
    """README: against dlib."""
    measured = results["pipeline"]
    said = []
    for key, name in (("lfw_250_pixels", "LFW's photographs"), *list(_SETS.items())[1:]):
        ratio = measured[key]["times_faster_than_dlib"]
        name = name if key == "lfw_250_pixels" else f"photographs {name}"
        said.append(
            f"{name} {_times(ratio[_ONE])} times as fast one at a time and "
            f"{_times(ratio[_STREAM])} times as a stream"
        )
    return (
        "File on disk to embeddings, in one run against `face_recognition`'s way of driving dlib, on "
        f"{measured['cores']} cores ({measured['date']}): {said[0]}; {said[1]}.\n"
    )


def against_dlib(results: Results) -> str:
    """The same as a table."""
    measured, rows = results["pipeline"], []
    for key, name in _SETS.items():
        part = measured[key]
        ms, ratio = part["ms_a_photograph"], part["times_faster_than_dlib"]
        cells = [f"{ms[side]:.1f} ms, {_times(ratio[side])} x" for side in (_ONE, _STREAM)]
        rows.append((f"{part['photographs']} of {name}", f"{ms['dlib']:.0f} ms", *cells))
    return _table(("photographs", "dlib", "faceprint, one at a time", "faceprint, stream"), rows)


def accuracy(results: Results) -> str:
    """README: LFW."""
    measured = results["lfw"]
    ours = {(r["detector"], r["embedder"], r["crops"]): r for r in measured["rows"]["faceprint"]}
    dlib = {(r["metric"], r["crops"]): r for r in measured["rows"]["dlib"]}

    def cell(row: dict[str, Any]) -> str:
        return f"{100 * row['accuracy']:.2f} %"

    rows: list[tuple[str, str, str]] = []
    for name, detector, embedder in (
        ("**starter: MTCNN and dlib's network in faceprint**", "mtcnn", "dlib-resnet"),
        ("YuNet and MobileFaceNet (`mobileface`)", "yunet-2023mar", "mobileface"),
        (
            "YuNet and w600k-mbf (weights derived from the publisher's)",
            "yunet-2023mar",
            "w600k-mbf-dequant",
        ),
    ):
        plain, mirrored = (cell(ours[detector, embedder, c]) for c in ("plain", "mirrored"))
        if embedder == "dlib-resnet":
            mirrored = f"**{mirrored}** (what the pack uses)"
        rows.append((name, plain, mirrored))
    for metric, name in (
        ("cosine", "dlib's own detector, landmarks and network"),
        ("euclidean", "the same by Euclidean distance, dlib's way"),
    ):
        rows.insert(
            1 + (metric == "euclidean"),
            (name, *(cell(dlib[metric, crops]) for crops in ("plain", "mirrored"))),
        )
    table = _table(("pipeline", "plain", "with the mirror image"), rows)
    return f"Measured {measured['date']}, both sides in one run.\n\n{table}"


def blocks(results: Results) -> str:
    """MTCNN's calls by size."""
    rows = [
        (r["network"], " x ".join(map(str, (r["rows"], *r["side"]))), f"{r['ns_a_pixel']:.0f}")
        for r in results["blocks"]["rows"]
    ]
    return _table(("network", "crops or size", "nanoseconds a pixel"), rows)


def engine(results: Results) -> str:
    """The share of the bare rate."""
    rows = []
    for row in results["engine"]["rows"]:
        ms = row["ms_a_photograph"]
        rows.append(
            (
                row["models"],
                row["photographs"],
                f"{ms['engine']:.2f}",
                f"{ms['bare']:.2f}",
                f"**{row['share_of_the_bare_rate']:.2f}**",
            )
        )
    head = ("models", "photographs", "engine, ms each", "bare calls, ms each", "share of the rate")
    return _table(head, rows)


def optimiser(results: Results) -> str:
    """Ratios of the rewritten graphs."""
    measured, rows = results["optimiser"], []
    for row in measured["graphs"]:
        ratios = " / ".join(f"{row['ratios'][n]:.2f}" for n in ("1", "8", "16"))
        ms = row["milliseconds"]["8"]
        rows.append(
            (
                row["graph"],
                row["threads"],
                ratios,
                f"{ms['published']:.0f}",
                f"{ms['optimised']:.0f}",
                f"{row['largest_difference']:.0e}",
            )
        )
    head = (
        "graph",
        "threads",
        "times as fast, batches of 1 / 8 / 16",
        "ms for 8, published",
        "rewritten",
        "largest difference of an embedding",
    )
    flags = ", ".join(measured["cpu_flags"])
    return f"{_table(head, rows)}\nMeasured on {measured['cpu']} ({flags}).\n"


def int8(results: Results) -> str:
    """What quantising gives, and what the guard decides."""
    measured, rows = results["int8"], []
    for row in measured["models"]:
        speed, kept = row["speed"], row["decision"]
        rows.append(
            (
                row["model"],
                f"{speed['ratio']:.2f}",
                f"{row['lost_points']:+.2f}" if row.get("lost_points") is not None else "",
                "int8" if kept["kept"] else "float32: " + "; ".join(kept["reasons"]),
            )
        )
    head = ("model", "times as fast as float32", "LFW points lost", "kept")
    flags = ", ".join(measured["cpu_flags"])
    return f"{_table(head, rows)}\nMeasured on {measured['cpu']} ({flags}).\n"


def exact_search(results: Results) -> str:
    """Exact search, all sides."""
    measured = results["search"]
    rows = [
        (name, f"{one:,.0f}", f"{measured['64 probes']['ms'][name]:,.0f}")
        for name, one in measured["one probe"]["ms"].items()
    ]
    head = (f"{measured['faces']:,} x 512, exact, k = {measured['k']}", "one probe, ms")
    return _table((*head, "64 probes, ms"), rows)


def approximate_search(results: Results) -> str:
    """Approximate search, all sides, a row each size and shape."""
    rows = []
    for part in results["search_approximate"]["rows"]:
        for name, side in part["sides"].items():
            built = part["build_s"].get(name, part["build_s"].get(f"{name}, from the file"))
            rows.append(
                (
                    f"{part['faces']:,} {part['shape']}",
                    name,
                    f"{side['recall@1']:.3f}",
                    side["expansion"] or "",
                    f"{side['ms_a_probe']:.2f}",
                    "" if built is None else f"{built:,.0f}",
                    _bytes(part["bytes_a_face"], name),
                )
            )
    head = ("vectors", "side", "recall@1", "expansion", "ms a probe", "build, s", "bytes a face")
    return _table(head, rows)


def _bytes(sizes: dict[str, float], name: str) -> str:
    if name == "FAISS HNSW":
        return "2,048 + links"
    resident = sizes.get(f"{name}, resident")
    return f"{sizes[name]:,.0f}" + (f" ({resident:,.0f} resident)" if resident else "")


def identification(results: Results) -> str:
    """TPIR and FPIR of each embedder."""
    measured, rows = results["identification"], []
    for name, row in measured["rows"].items():
        low, high = (100 * v for v in row["fpir_range"])
        rows.append(
            (
                name,
                f"{row['tpir_mean']:.3f}",
                f"{100 * row['fpir_mean']:.2f} %",
                f"{low:.1f} to {high:.1f} %",
                f"{row['draws_within_twice']} of {measured['draws']}",
            )
        )
    head = ("models", "TPIR", "FPIR found, mean", "FPIR found, range", "draws at most 2 %")
    return _table(head, rows)


def clustering(results: Results) -> str:
    """Methods side by side, two embedders."""
    both = [results["clustering_mbf"], results["clustering_starter"]]

    def cell(row: dict[str, Any]) -> str:
        half = f"{row['other_half']['f']:.4f}" if "other_half" in row else "-"
        return f"{half} / {row['all']['f']:.4f} / {row['all']['f_several']:.4f}"

    rows = [
        (
            "**faceprint**, points of half of the people",
            *(cell(side["faceprint"]["first half"]) for side in both),
        ),
        ("the same, halves exchanged", *(cell(side["faceprint"]["second half"]) for side in both)),
    ]
    rows += [
        (name, *(cell(side["methods"][name]) for side in both)) for name in both[0]["methods"]
    ]
    return _table(("method", "w600k-mbf (dequantised), YuNet", "starter"), rows)


def clustering_halves(results: Results) -> str:
    """Precision and recall, and how the constants were chosen."""
    rows = []
    for name, key in (("w600k-mbf", "clustering_mbf"), ("starter", "clustering_starter")):
        for half, row in results[key]["faceprint"].items():
            other, everybody = row["other_half"], row["all"]
            rows.append(
                (
                    f"{name}, {half}",
                    f"{other['precision']:.4f} / {other['recall']:.4f} / {other['f']:.4f}",
                    f"{everybody['precision']:.4f} / {everybody['recall']:.4f} / "
                    f"{everybody['f']:.4f}",
                    f"{everybody['f_several']:.4f}",
                    "{}, {}".format(*row["best_there"]),
                    f"{row['other_half_with_the_best']['f']:.4f}",
                )
            )
    head = (
        "points from",
        "other half: precision / recall / F",
        "all: precision / recall / F",
        "all, people with two or more, F",
        "constants that are best there",
        "other half with these, F",
    )
    return _table(head, rows)


def clustering_scale(results: Results) -> str:
    """Cost by number of faces."""
    text = []
    for name, key in (
        ("w600k-mbf, 512-d", "clustering_scale_mbf"),
        ("starter, 128-d", "clustering_scale_starter"),
    ):
        measured, rows = results[key], []
        sizes = ("25000", "50000", "100000")
        for method, by_size in measured["rows"].items():
            cells = [_cost(by_size.get(size, {})) for size in sizes]
            growth = measured["growth"].get(f"{method}, 25,000 to 100,000")
            rows.append((method, *cells, f"{growth:.1f}" if growth else ""))
        head = (name, *(f"{int(size):,}" for size in sizes), "25,000 to 100,000, times")
        text.append(_table(head, rows))
    return "\n".join(text)


def _cost(row: dict[str, Any]) -> str:
    if "cut_off_after_s" in row:
        return f"over {row['cut_off_after_s']:.0f} s"
    if "seconds" not in row:
        return row.get("error", "")
    return f"{row['seconds']:.1f} s, {row['peak_mb']:,} MB, F {row['bcubed']['f']:.3f}"


def face_size(results: Results) -> str:
    """What small faces are worth."""
    measured = results["face_size"]
    rows = [
        (
            row["width"],
            f"{100 * row['small_with_small']['fnmr']:.1f} %",
            f"{100 * row['small_with_full']['fnmr']:.1f} %",
            row["missed"],
        )
        for row in measured["rows"]
    ]
    head = ("width, pixels", "both that small", "one of them", "photographs without a face")
    return _table(head, rows)


def postgres(results: Results) -> str:
    """The server's graph."""
    measured = results["postgres"]
    load = ", ".join(f"{name} {seconds:,.0f} s" for name, seconds in measured["seconds"].items())
    return (
        f"{measured['faces']:,} templates ({load}): recall@1 {measured['recall@1']:.3f} one at a time "
        f"and {measured['recall@1_in_batches']:.3f} in batches, {measured['ms_a_probe']:.1f} and "
        f"{measured['ms_a_probe_in_batches']:.1f} ms a probe, exact comparison included.\n"
    )


BLOCKS: dict[str, Callable[[Results], str]] = {
    "speed": speed,
    "against-dlib": against_dlib,
    "accuracy": accuracy,
    "blocks": blocks,
    "engine": engine,
    "optimiser": optimiser,
    "int-eight": int8,
    "exact-search": exact_search,
    "approximate-search": approximate_search,
    "identification": identification,
    "clustering": clustering,
    "clustering-halves": clustering_halves,
    "clustering-scale": clustering_scale,
    "face-size": face_size,
    "postgres": postgres,
}
