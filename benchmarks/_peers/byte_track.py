"""ByteTrack of Roboflow's `trackers` over detections that another process found.

    python byte_track.py DETECTIONS.npz IDS.npz

Runs in an environment of its own (envs.py). Identities are written per detection, -1 for none:
`defaults`; `at_once`, where a track counts from its first frame; `patient`, where a lost track is
kept for ten seconds, not for one.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
import supervision as sv
from trackers import ByteTrackTracker


def follow(given: dict[str, np.ndarray], **settings: float) -> np.ndarray:
    """(n,) the identity of each detection."""
    tracker = ByteTrackTracker(frame_rate=float(given["rate"]), **settings)
    ids = np.full(len(given["times"]), -1, np.int64)
    for time in given["frames"]:
        rows = np.flatnonzero(given["times"] == time)
        found = tracker.update(
            sv.Detections(
                xyxy=given["boxes"][rows].reshape(-1, 4),
                confidence=given["scores"][rows],
                class_id=np.zeros(len(rows), int),
                data={"row": rows},
            )
        )
        if len(found):
            ids[np.asarray(found.data["row"], int)] = found.tracker_id
    return ids


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with np.load(sys.argv[1]) as file:
        detections = dict(file)
    np.savez(
        sys.argv[2],
        defaults=follow(detections),
        at_once=follow(detections, minimum_consecutive_frames=1),
        patient=follow(detections, lost_track_buffer=300),
    )
