"""Blocks of pages on galleries and albums: see docs_measured.py."""

from __future__ import annotations

from typing import Any

from docs_results import Results, table


def exact_search(results: Results) -> str:
    """Exact search, all sides."""
    measured = results["search"]
    rows = [
        (name, f"{one:,.0f}", f"{measured['64 probes']['ms'][name]:,.0f}")
        for name, one in measured["one probe"]["ms"].items()
        if name != "faceprint exact int8"  # measured, but no longer part of the package
    ]
    head = (f"{measured['faces']:,} x 512, exact, k = {measured['k']}", "one probe, ms")
    return table((*head, "64 probes, ms"), rows)


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
    return table(head, rows)


def found_of_mates(results: Results) -> str:
    """Mates found by their similarity, a column a side."""
    rows: list[tuple[str, ...]] = []
    sides = ("faceprint", "usearch", "FAISS HNSW")
    for part in results["search_approximate"]["rows"]:
        for similarity, found in part.get("found_of_mates", {}).items():
            cells = [f"{found[side]:.3f}" if side in found else "" for side in sides]
            rows.append((f"{part['faces']:,} {part['shape']}", similarity, *cells))
    return table(("vectors", "similarity", *sides), rows)


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
    return table(head, rows)


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
    # What an album says itself is measured by clustering_albums.py by now.
    others = [name for name in both[0]["methods"] if not name.startswith("faceprint")]
    rows += [(name, *(cell(side["methods"][name]) for side in both)) for name in others]
    return table(("method", "w600k-mbf (dequantized), YuNet", "starter"), rows)


def albums(results: Results) -> str:
    """README: how well albums are sorted."""
    said = []
    for name, key in (("the starter pack", "clustering_starter"), ("w600k-mbf", "clustering_mbf")):
        half, everybody = (
            results[key]["faceprint"]["first half"][part] for part in ("other_half", "all")
        )
        photographs = results[key]["photographs"]
        said.append(
            f"with {name} BCubed F {half['f']:.3f} on the half of the people that no parameter "
            f"comes from, {everybody['f']:.3f} on all {photographs:,} photographs "
            f"(precision {everybody['precision']:.3f}, recall {everybody['recall']:.3f})"
        )
    return "LFW sorted into people without knowing who or how many: " + "; ".join(said) + ".\n"


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
    return table(head, rows)


_PACKS = (
    ("w600k-mbf (dequantized), YuNet", "clustering_albums_mbf"),
    ("MobileFaceNet, YuNet", "clustering_albums_mobileface"),
    ("dlib-resnet; MTCNN on LFW, YuNet on FaceScrub", "clustering_albums_starter"),
)
_HALVES, _SETS = ("first half", "second half"), ("LFW", "FaceScrub")


def clustering_whole(results: Results) -> str:
    """The half of the people that no parameter comes from, two data sets."""
    ways = ("faceprint", "average linkage", "told by the album itself")
    rows = []
    for models, key in _PACKS:
        for data_set in _SETS:
            parts = [results[key][half][data_set]["whole"] for half in _HALVES]
            rows.append(
                (
                    models,
                    data_set,
                    *(" / ".join(f"{part[way]['f']:.4f}" for part in parts) for way in ways),
                )
            )
    head = ("models", "photographs", "faceprint", "average linkage, best threshold there")
    return table((*head, "faceprint, told by the album itself"), rows)


def clustering_small(results: Results) -> str:
    """Small albums: what an album counts as, and what it says itself."""
    rows = []
    for models, key in _PACKS:
        for kind, count in (("drawn", "30"), ("drawn", "100"), ("family", "5"), ("family", "10")):
            parts = [results[key][half][name][kind][count] for half in _HALVES for name in _SETS]
            ways = [f"counts as {fewest} or more" for fewest in ("1,000", "300", "100")]
            name = f"{count} people" if kind == "drawn" else f"{count} people alike"
            rows.append((models, name, *(_small(parts, way) for way in ways),
                         _small(parts, "told by the album itself")))  # fmt: skip
    head = ("models", "album", "counts as 1,000 faces or more", "300", "100")
    return table((*head, "told by the album itself"), rows)


def _small(parts: list[dict[str, Any]], way: str) -> str:
    """Mean F and the least precision over both halves of both data sets."""
    found = [part[way] for part in parts if way in part]
    albums = sum(row["albums"] for row in found)
    if not albums:
        return "says nothing"
    f = sum(row["f"] * row["albums"] for row in found) / albums
    return f"{f:.3f} / {min(row['least_precision'] for row in found):.3f}"


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
        text.append(table(head, rows))
    return "\n".join(text)


def _cost(row: dict[str, Any]) -> str:
    if "cut_off_after_s" in row:
        return f"over {row['cut_off_after_s']:.0f} s"
    if "seconds" not in row:
        return str(row.get("error", "not run"))
    return f"{row['seconds']:.1f} s, {row['peak_mb']:,} MB, F {row['bcubed']['f']:.3f}"


def incremental(results: Results) -> str:
    """An album in five batches."""
    rows = []
    for name, key in (("w600k-mbf", "incremental_mbf"), ("starter", "incremental_starter")):
        measured = results[key]
        orders = [v for k, v in measured.items() if k.startswith(("order", "by person"))]
        said = measured["corrections"]
        count = said["same_person"] + said["not_this_person"]
        rows.append(
            (
                name,
                f"{measured['one_batch']['bcubed_f']:.4f}",
                ", ".join(f"{order['bcubed_f']:.4f}" for order in orders),
                f"{100 * min(min(order['numbers_kept']) for order in orders):.1f} %",
                f"{min(said['obeyed_in_each_run'])} of {count}",
            )
        )
    head = (
        "models",
        "one batch, F",
        "five batches in four orders, F",
        "photographs that keep their person's number in a run, least",
        "corrections that hold in three later runs",
    )
    return table(head, rows)


def postgres(results: Results) -> str:
    """The server's graph."""
    measured = results["postgres"]
    load = ", ".join(f"{name} {seconds:,.0f} s" for name, seconds in measured["seconds"].items())
    return (
        f"{measured['faces']:,} templates ({load}): recall@1 {measured['recall@1']:.3f} one at a "
        f"time and {measured['recall@1_in_batches']:.3f} in batches, "
        f"{measured['ms_a_probe']:.1f} and "
        f"{measured['ms_a_probe_in_batches']:.1f} ms a probe, exact comparison included.\n"
    )
