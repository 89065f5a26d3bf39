"""Blocks of pages on speed and accuracy: see docs_measured.py."""

from __future__ import annotations

from typing import Any

from docs_results import Results, table

_SETS = {"lfw_250_pixels": "250 pixels", "above_a_megapixel": "above a megapixel"}
_ONE, _STREAM = "faceprint, one at a time", "faceprint, stream"


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
        "File on disk to embeddings, in one run against `face_recognition`'s way of driving dlib, "
        f"on {measured['cores']} cores ({measured['date']}): {said[0]}; {said[1]}. "
        f"{_shared_out(results['cores'])}\n"
    )


def _shared_out(measured: dict[str, Any]) -> str:
    rows = measured["sets"]["lfw"]["rows"]
    alone = max(r["photographs_a_second"] for r in rows if r["processes"] == 1)
    chosen = next(r for r in rows if r["processes"] == measured["embed"]["processes"])
    rate = chosen["photographs_a_second"]
    return (
        f"On a machine of {measured['cores']} cores `embed` shares the work among "
        f"{chosen['processes']} processes: {rate:,.0f} of LFW's photographs a second, "
        f"{_times(rate / alone)} times what one process of any number of threads does there."
    )


def cores(results: Results) -> str:
    """How processes and threads share many cores."""
    measured, rows = results["cores"], []
    found = {name: _by_way(part["rows"]) for name, part in measured["sets"].items()}
    for way in found["lfw"]:
        cells = []
        for name in ("lfw", "large"):
            row = found[name].get(way)
            rate = row["photographs_a_second"] if row else 0
            cells.append(f"{rate:,.0f}" if rate >= 20 else f"{rate:.1f}" if row else "")
        rows.append((way[0], way[1], *cells, found["lfw"][way]["megabytes"]))
    head = ("processes", "threads each", "a second, LFW", "a second, above a megapixel", "MB")
    embed = measured["embed"]
    return (
        f"{table(head, rows)}\nStarter pack, {measured['cores']} cores ({measured['cpu']}, "
        f"{measured['date']}); memory with LFW's photographs, what is shared counted "
        f"once. `embed` as it comes, from the names of {embed['photographs']:,} photographs to the "
        f"table, the start of {embed['processes']} processes included: "
        f"{embed['seconds']:.1f} s.\n"
    )


def _by_way(rows: list[dict[str, Any]]) -> dict[tuple[int, int], dict[str, Any]]:
    return {(row["processes"], row["threads_each"]): row for row in rows}


def against_dlib(results: Results) -> str:
    """The same as a table."""
    measured, rows = results["pipeline"], []
    for key, name in _SETS.items():
        part = measured[key]
        ms, ratio = part["ms_a_photograph"], part["times_faster_than_dlib"]
        cells = [f"{ms[side]:.1f} ms, {_times(ratio[side])} x" for side in (_ONE, _STREAM)]
        rows.append((f"{part['photographs']} of {name}", f"{ms['dlib']:.0f} ms", *cells))
    return table(("photographs", "dlib", "faceprint, one at a time", "faceprint, stream"), rows)


def accuracy(results: Results) -> str:
    """README: LFW."""
    measured = results["lfw"]
    ours = {
        (r["detector"], r["embedder"], r["crops"]): r
        for r in measured["rows"]["faceprint"]
        if r["metric"] == "cosine"
    }
    dlib = {(r["metric"], r["crops"]): r for r in measured["rows"]["dlib"]}

    def cell(row: dict[str, Any]) -> str:
        return f"{100 * row['accuracy']:.2f} %"

    rows: list[tuple[str, ...]] = []
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
    written = table(("pipeline", "plain", "with the mirror image"), rows)
    return f"Measured {measured['date']}, the same pairs for all.\n\n{written}"


def blocks(results: Results) -> str:
    """MTCNN's calls by size."""
    rows = [
        (
            r["network"],
            " x ".join(map(str, (r["rows"], *r["side"]))),
            f"{r['ns_a_pixel']:.0f}",
            f"{cell:.0f}" if (cell := r.get("ns_a_cell")) else "",
        )
        for r in results["blocks"]["rows"]
    ]
    text = table(("network", "crops or size", "nanoseconds a pixel", "a cell of P-Net's"), rows)
    side = results["blocks"]["embedders"]
    counts = sorted({row["rows"] for row in side})
    found = {(row["model"], row["rows"]): row["ms_a_crop"] for row in side}
    lines = [
        (name, *(f"{found[name, count]:.2f}" for count in counts))
        for name in dict.fromkeys(row["model"] for row in side)
    ]
    head = ("embedder, ms a crop", *(f"{count} in a call" for count in counts))
    return f"{text}\n{table(head, lines)}"


def engine(results: Results) -> str:
    """The share of the bare rate."""
    rows = []
    for row in results["engine"]["rows"]:
        ms = row["ms_a_photograph"]
        at = row.get("settings", {}).get("min_side")
        rows.append(
            (
                row["models"] + (f", detector at {at}" if at else ""),
                row["photographs"],
                f"{ms['engine']:.2f}",
                f"{ms['bare']:.2f}",
                f"**{row['share_of_the_bare_rate']:.2f}**",
            )
        )
    head = ("models", "photographs", "engine, ms each", "bare calls, ms each", "share of the rate")
    return table(head, rows)


def optimizer(results: Results) -> str:
    """Ratios of the rewritten graphs."""
    measured, rows = results["optimizer"], []
    for row in measured["graphs"]:
        ratios = " / ".join(f"{row['ratios'][n]:.2f}" for n in ("1", "8", "16"))
        ms = row["milliseconds"]["8"]
        rows.append(
            (
                row["graph"],
                row["threads"],
                ratios,
                f"{ms['published']:.0f}",
                f"{ms['optimized']:.0f}",
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
    return f"{table(head, rows)}\nMeasured on {measured['cpu']} ({_flags(measured)}).\n"


def int8(results: Results) -> str:
    """What quantizing gives, and what the guard decides."""
    measured, rows = results["int8"], []
    for row in measured["models"]:
        speed, decision = row["speed"], row["decision"]
        like = ", ".join(f"{row['agreement'][name]:.4f}" for name in ("mean", "lowest"))
        points = [f"{100 * value:.2f}" for value in row.get("accuracy") or ()]
        taken = "takes it" if points else "takes it (speed alone)"
        rows.append(
            (
                row["model"],
                f"{row['bytes'] / 1e6:.1f}",
                f"{speed['ratio']:.2f}",
                f"{speed['float32_ms']:.1f}",
                f"{speed['int8_ms']:.1f}",
                like,
                *(points or ("not measured", "")),
                taken if decision["kept"] else "keeps float32: " + "; ".join(decision["reasons"]),
            )
        )
    head = (
        "model",
        "MB",
        "times as fast",
        "float32 ms",
        "int8 ms",
        "cosine, mean and lowest",
        "LFW float32",
        "int8",
        "the guard",
    )
    return f"{table(head, rows)}\nMeasured on {measured['cpu']} ({_flags(measured)}).\n"


def _flags(measured: dict[str, Any]) -> str:
    return ", ".join(measured["cpu_flags"])


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
    return table(head, rows)
