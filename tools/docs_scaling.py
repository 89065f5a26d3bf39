"""The arithmetic for very many photographs, from what the benchmarks measured.

    python tools/docs_scaling.py --photographs 1e8 --faces 1.5 --megabytes 3 --machines 20

prints it for your numbers; docs/scaling.md holds it for the defaults, between two marks, and
`tools/make_docs.py` writes it anew. What a figure stands on is named beside it.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

__all__ = ["Plan", "plan_table", "scaling_page"]

BEGIN, END = "<!-- begin: tools/docs_scaling.py -->\n", "<!-- end -->\n"
_CELLS = 16
"""Cells a face is sent to (`albums/cells.py`)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is assumed.

    Attributes:
        faces: of a photograph. megabytes: its file. gbit: of a machine's network, a second.
    """

    photographs: float = 1e8
    faces: float = 1.5
    megabytes: float = 3.0
    machines: float = 20
    cores: float = 16
    gbit: float = 10


def scaling_page(text: str, results: Path) -> str:
    """A page with its block made anew, if it has one."""
    head, begin, rest = text.partition(BEGIN)
    if not begin:
        return text
    _, _, tail = rest.partition(END)
    return head + BEGIN + plan_table(Plan(), results) + END + tail


def plan_table(plan: Plan, results: Path) -> str:
    """Markdown: a row a cost, with the formula's parts and where they were measured."""

    def read(name: str) -> Any:
        return json.loads((results / f"{name}.json").read_text("utf-8"))

    n, faces = plan.photographs, plan.photographs * plan.faces
    power = plan.machines * plan.cores
    rows = [("embedding", *row) for row in _embedding(plan, read)]
    rows += [("clustering", *row) for row in _clustering(faces, power, read)]
    lines = [
        f"{n:,.0f} photographs of {plan.megabytes:g} MB with {plan.faces:g} faces each, on "
        f"{plan.machines:g} machines of {plan.cores:g} cores and {plan.gbit:g} Gbit/s:",
        "",
        "| of | what | how much | made of |",
        "|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _embedding(plan: Plan, read: Any) -> list[tuple[str, str, str]]:
    n, faces = plan.photographs, plan.photographs * plan.faces
    measured, driver = read("cores"), read("bulk_driver")
    rows = []
    for key, name in (("lfw", "250 pixels"), ("large", "above a megapixel")):
        shared = measured["embed"]["processes"]
        (rate,) = (
            row["photographs_a_second"]
            for row in measured["sets"][key]["rows"]
            if row["processes"] == shared
        )
        hours = n / rate / 3600 * measured["cores"]
        rows.append(
            (
                f"computing, photographs of {name}",
                f"{hours:,.0f} core-hours; {hours / plan.machines / plan.cores:,.1f} h",
                f"{rate:,.0f} a second on {measured['cores']} cores (`cores.json`)",
            )
        )
    traffic = 2 * n * plan.megabytes * 1e6
    rows.append(
        (
            "reading every photograph twice",
            f"{_bytes(traffic)}; {traffic * 8 / (plan.machines * plan.gbit * 1e9) / 3600:,.1f} h "
            "with every link full",
            "once for the digest, once for the embedding",
        )
    )
    rate = driver["photographs_a_second"]
    rows.append(
        (
            "the driver's own work",
            f"{n / rate / 3600:,.1f} h, whatever the number of machines",
            f"{rate:,} photographs a second (`bulk_driver.json`)",
        )
    )
    size = driver["table_bytes_a_face"]
    rows.append(
        (
            "the table, 512-d",
            f"{_bytes(faces * size)}, twice that while it is made",
            f"{size:,.0f} bytes a face (`bulk_driver.json`)",
        )
    )
    return rows


def _clustering(faces: float, power: float, read: Any) -> list[tuple[str, str, str]]:
    scale, table = read("clustering_scale_mbf"), read("cluster_table")
    graph, whole = scale["rows"]["graph"], scale["rows"]["faceprint"]
    sizes = sorted(int(size) for size, row in graph.items() if "cpu_s" in row)
    small, large = str(sizes[-2]), str(sizes[-1])
    exponent = math.log(graph[large]["cpu_s"] / graph[small]["cpu_s"]) / math.log(
        int(large) / int(small)
    )
    flat = graph[large]["cpu_s"] / int(large) * faces / 3600
    steep = flat * (faces / int(large)) ** max(0.0, exponent - 1)
    linking = (whole[large]["seconds"] - graph[large]["seconds"]) / int(large) * faces / 3600
    d = table["dimensions"]
    scratch = faces * (4 * d + _CELLS * (d + 8) + 4 * d)
    known = sorted(int(size) for size, row in table["rows"].items() if "local" in row)
    one, other = table["rows"][str(known[0])]["local"], table["rows"][str(known[-1])]["local"]
    memory = (other["anonymous_mb"] - one["anonymous_mb"]) * 1e6 / (known[-1] - known[0])
    return [
        (
            "the neighbor graph",
            f"{flat:,.0f} to {steep:,.0f} core-hours; {flat / power:,.1f} to "
            f"{steep / power:,.1f} h",
            f"{graph[large]['cpu_s'] / int(large) * 1e6:,.0f} core-microseconds a face at "
            f"{int(large):,}, growing as n ** {exponent:.2f} from {int(small):,} "
            "(`clustering_scale_mbf.json`)",
        ),
        (
            "sending faces to workers, 512-d",
            f"{_bytes(faces * _CELLS * d)}",
            f"{_CELLS} times {d} bytes a face",
        ),
        (
            "the driver's scratch files",
            _bytes(scratch),
            f"vectors and sums 2 x {4 * d}, cells {_CELLS} x {d + 8} bytes a face",
        ),
        (
            "the driver's memory",
            _bytes(faces * memory),
            f"{memory:,.0f} bytes a face that is not mapped (`cluster_table.json`)",
        ),
        (
            "linking, on the driver",
            f"{linking:,.1f} h",
            f"{(whole[large]['seconds'] - graph[large]['seconds']) / int(large) * 1e6:,.0f} "
            f"microseconds a face at {int(large):,} (`clustering_scale_mbf.json`)",
        ),
        (
            "false match rate at which a face has one false neighbor",
            f"{1 / faces:.0e}",
            "1 / faces; nothing under 1e-3 is supported by LFW's pairs",
        ),
    ]


def _bytes(count: float) -> str:
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count:,.0f} bytes"


def main() -> None:
    """Print the table for other numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    for item in fields(Plan):
        parser.add_argument(f"--{item.name}", type=float, default=item.default)
    root = Path(__file__).resolve().parents[1]
    print(plan_table(Plan(**vars(parser.parse_args())), root / "benchmarks" / "results"))


if __name__ == "__main__":
    main()
