"""What the service was measured to do under load, for docs/deploy.md."""

from __future__ import annotations

from statistics import median

from docs_results import Results, table

__all__ = ["service_load", "service_peers"]


def service_load(results: Results) -> str:
    """Verification, search and overload, beside `analyze_many`."""
    measured, rows = results["serve_load_lfw"], []
    for name in ("verify", "identify"):
        part = measured[name]
        rows.append(
            (
                f"`/v1/{name}`",
                f"{median(part['photographs_per_second']):.0f}",
                f"{median(part['analyze_many']):.0f}",
                f"{part['share']:.2f}",
                f"{part['milliseconds']['median']:,.0f}",
                f"{part['milliseconds']['p99']:,.0f}",
            )
        )
    head = ("", "photographs a second", "`analyze_many`", "share", "median, ms", "99 of 100, ms")
    over = measured["overload"]
    refused, answered = over["answers"]["429"], over["answers"]["200"]
    before, after = (over["memory_mb"][part] for part in ("second_fifth", "last_fifth"))
    return (
        f"{table(head, rows)}\n{measured['clients']} clients, LFW's photographs, the starter pack, "
        f"{measured['cores']} cores that clients and service share, medians of "
        f"{len(part['shares'])} rounds by turns ({measured['date']}). At "
        f"{over['offered_per_second']:.0f} searches a second, twice what it can answer, "
        f"{answered['count']:,} were answered and {refused['count']:,} refused with 429: 99 of "
        f"100 within {refused['milliseconds']['p99']:.0f} ms, the slowest within "
        f"{refused['milliseconds']['most']:.0f} ms. Memory, without the "
        f"worker processes: {before:.0f} MB, then {after:.0f} MB.\n"
    )


def service_peers(results: Results) -> str:
    """The same two models in insightface, behind FastAPI."""
    measured = results["serve_peers"]
    rows = [
        (
            name,
            f"{side['photographs_per_second']:.0f}",
            f"{side['median_milliseconds']:,.0f}",
            f"{side['p99_milliseconds']:,.0f}",
            f"{side['memory_mb']:,.0f}",
        )
        for name, side in measured["sides"].items()
    ]
    head = ("", "photographs a second", "median, ms", "99 of 100, ms", "MB")
    return (
        f"{table(head, rows)}\n{measured['clients']} clients, LFW's photographs, SCRFD-500M and "
        f"w600k-mbf on every side, boxes and embeddings in the answer; {measured['cores']} cores, "
        f"medians of the rounds ({measured['date']}).\n"
    )
