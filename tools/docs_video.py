"""Blocks of docs/video.md: see docs_measured.py."""

from __future__ import annotations

from typing import Any

from docs_results import NOT_YET, Results, table

__all__ = ["identity", "speed", "tracks"]

_KINDS = {
    "tracks": "tracks",
    "plain_mean": "tracks by the plain mean",
    "single_frames": "single frames",
}


def identity(results: Results) -> str:
    """IDF1 and switches, per clip."""
    measured = results["video_identity"]
    rows = [
        (
            row["clip"].replace("_", " "),
            f"every {row['every']}" if row["every"] > 1 else "every",
            *(_identity_cell(row[side]) for side in ("people", "tracks", "byte_track")),
        )
        for row in measured["rows"]
    ]
    head = ("clip", "frame", "faceprint", "its tracks alone", "ByteTrack, its best of three")
    worse = measured["worse_on"]
    said = f"Worse on: {', '.join(worse)}." if worse else "faceprint is worse on no clip."
    mixed = sum(row["tracks_that_mix_people"] for row in measured["rows"])
    return (
        f"{table(head, rows)}\nIDF1, switches in brackets; {measured['peer']} "
        f"({measured['date']}). {said} Tracks that mix people: {mixed}.\n"
    )


def _identity_cell(side: dict[str, Any]) -> str:
    return f"{side['idf1']:.3f} ({side['switches']})"


def tracks(results: Results) -> str:
    """TPIR and FPIR of tracks and of single frames."""
    measured = results.get("video_tracks")
    if measured is None:
        return NOT_YET.format("video_tracks")
    rows, said = [], []
    for name, side in measured["rows"].items():
        for kind, words in _KINDS.items():
            found = side["all_draws"][kind]
            low, high = found["fpir_range"]
            rows.append(
                (
                    name,
                    words,
                    f"{100 * found['tpir_mean']:.1f} %",
                    f"{100 * found['fpir_mean']:.2f} %",
                    f"{100 * low:.1f} to {100 * high:.1f} %",
                )
            )
        first = side["first_draw"]
        low, high = first["fpir_interval"]
        same = first["in_a_gallery"]
        said.append(
            f"{name}, first draw: {first['strangers_matched']} of 200 strangers matched "
            f"({100 * low:.1f} to {100 * high:.1f} %, 95 %); of {same['clips']} clips that went "
            f"through a gallery on disk, {same['same_decision']} were decided as here."
        )
    head = ("models", "decided", "TPIR", "FPIR", "FPIR in single draws")
    asked = 100 * measured["fpir_asked"]
    return (
        f"{table(head, rows)}\nFPIR asked: {asked:g} %; means over {measured['draws']} draws "
        f"({measured['date']}). {' '.join(said)}\n"
    )


def speed(results: Results) -> str:
    """Frames a second, latency, dropped frames and memory."""
    measured = results.get("video_speed")
    if measured is None:
        return NOT_YET.format("video_speed")
    rows = []
    for name, side in measured["sides"].items():
        if "left_out" in side:
            rows.append((name, "left out", side["left_out"], "", ""))
        elif "file" in side:
            file, live = side["file"], side["live"]
            grown = file["mb_grown_after_the_first_minute"]
            memory = f"{file['mb_by_minute'][0]:.0f}, then {grown:+.0f}"
            rows.append(
                (
                    name,
                    f"{file['frames_a_second']:.0f} ({file['times_real_time']:.1f} x real time)",
                    f"{live['latency_ms']['median']:.0f} ms, 95 %: {live['latency_ms']['p95']:.0f}",
                    f"{live['dropped']} of {live['dropped'] + live['frames']}",
                    memory,
                )
            )
        else:
            rows.append(
                (
                    f"{name}'s loop",
                    f"{side['frames_a_second']:.1f} ({side['times_real_time']:.2f} x real time)",
                    f"{side['ms']['median']:.0f} ms, 95 %: {side['ms']['p95']:.0f}",
                    f"{side['dropped']} of {side['dropped'] + side['frames']}, computed",
                    f"{side['peak_mb']} at most",
                )
            )
    head = ("", "frames a second, a file", "latency", "dropped, live", "MB")
    return (
        f"{table(head, rows)}\n{measured['video']}; {measured['cores']} cores "
        f"({measured['cpu']}, {measured['date']}).\n"
    )
