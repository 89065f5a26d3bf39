"""A long video in 720p: speed, latency, dropped frames and memory, and the loops of two peers.

    python benchmarks/video_speed.py [--minutes M] [--environments DIR] [--only SIDE] [--live]

The video is made of the sample photographs: three people who move before a structured wall, 25
frames a second, H.264. faceprint reads it as a file, at the stride that it chooses itself, and then
one minute of it as a live stream that another process sends at its own pace. The peers' loops
(_peers/video_loop.py) read the file for a minute each, in environments of their own; `dropped` of
theirs is computed: the frames of a live stream that would have come meanwhile.

Everything runs by itself, one side after the other: the figures need a quiet machine. --only and
--live measure a part anew and leave the rest of the result; each part names its commit.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from _common import RESULTS, provenance, use_shared_models, write
from _peers import envs
from _peers.machine import Watch
from _video_run import spread
from video_clips import head

WIDTH, HEIGHT, RATE, LOOP = 1280, 720, 25, 30
OURS = {
    "starter": ("mtcnn", "dlib-resnet"),
    "yunet-2023mar + w600k-mbf": ("yunet-2023mar", "w600k-mbf-dequant"),
}
PEERS = {
    "face_recognition": "dlib",
    "face_recognition, faster": "dlib",
    "deepface": "deepface",
}
_HERE = Path(__file__).parent


def main() -> int:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--environments", type=Path, default=envs.DEFAULT_FOLDER)
    parser.add_argument("--only", choices=(*OURS, *PEERS), action="append")
    parser.add_argument("--live", action="store_true", help="only the live stream of our sides")
    given = parser.parse_args()
    path, sides = RESULTS / "video_speed.json", dict[str, Any]()
    if path.exists() and (given.only or given.live):
        sides = json.loads(path.read_text("utf-8"))["sides"]
    made = {key: provenance()[key] for key in ("commit", "date")}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        use_shared_models(folder)
        minute = _video(folder / "minute.ts", 60 // LOOP)
        video = minute if given.live else _video(folder / "long.mp4", given.minutes * 60 // LOOP)

        def measure(work: Callable[..., dict[str, Any]], name: str, *given: Any) -> dict[str, Any]:
            watch = Watch([], waited=True)
            found = work(name, *given) | made | {"others_use_of_the_machine": watch.others()}
            print(json.dumps({name: found}), file=sys.stderr, flush=True)
            return found

        for name in given.only or (OURS if given.live else (*OURS, *PEERS)):
            if name in OURS:
                side = sides.setdefault(name, {})
                if not given.live:
                    side["file"] = measure(_file, name, video)
                side["live"] = measure(_live, name, minute)
            else:
                place = given.environments.resolve()
                sides[name] = measure(_peer, name, video, folder, place)
    write(
        "video_speed",
        {
            **provenance("av"),
            "video": f"{given.minutes} minutes, {WIDTH} x {HEIGHT}, {RATE} frames a second, H.264",
            "sides": sides,
        },
    )
    return 0


def _video(path: Path, loops: int) -> Path:
    """A loop of 30 s, encoded once and repeated."""
    rng = np.random.default_rng(0)
    wall = np.kron(rng.integers(70, 150, (18, 32, 3)), np.ones((40, 40, 1))).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, RATE)
        stream.options = {"preset": "ultrafast", "crf": "23", "g": "50", "bf": "0"}
        packets = []
        for number in range(LOOP * RATE):
            frame = av.VideoFrame.from_ndarray(_frame(wall, number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            packets += stream.encode(frame)
        packets += stream.encode()
        kept = [(bytes(p), p.pts, p.dts, p.is_keyframe) for p in packets if p.size]
        for loop in range(loops):
            for data, pts, dts, key in kept:
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, Fraction(1, RATE)
                packet.pts, packet.dts = pts + loop * LOOP * RATE, dts + loop * LOOP * RATE
                packet.is_keyframe = key
                container.mux(packet)
    return path


def _frame(wall: np.ndarray[Any, Any], number: int) -> np.ndarray[Any, Any]:
    """Three people; the last one walks out of the picture and comes back."""
    image, turn = wall.copy(), 2 * np.pi * number / (LOOP * RATE)
    places = [
        ("obama", 300 + 150 * np.sin(2 * turn), 330 + 40 * np.sin(3 * turn), 190),
        ("biden", 700 + 120 * np.sin(3 * turn + 1), 400 + 60 * np.cos(2 * turn), 150),
        ("collins", 1330 + 280 * np.cos(turn), 340 + 30 * np.sin(4 * turn), 170),
    ]
    for name, x, y, height in places:
        patch, face = head(name, height)
        left, top = round(x - (face[0] + face[2]) / 2), round(y - (face[1] + face[3]) / 2)
        x1, y1 = max(0, left), max(0, top)
        x2, y2 = min(WIDTH, left + patch.shape[1]), min(HEIGHT, top + patch.shape[0])
        if x1 < x2 and y1 < y2:
            image[y1:y2, x1:x2] = patch[y1 - top : y2 - top, x1 - left : x2 - left]
    return image


def _ours(name: str, video: str) -> dict[str, Any]:
    words = [sys.executable, str(_HERE / "_video_run.py"), *OURS[name], video]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _file(name: str, video: Path) -> dict[str, Any]:
    found = _ours(name, str(video))
    del found["marks"]
    after_first = found["mb_by_minute"][1:] or found["mb_by_minute"]
    return found | {
        "frames_a_second": round(found["frames"] / found["seconds"], 1),
        "times_real_time": round(found["video_seconds"] / found["seconds"], 2),
        "mb_grown_after_the_first_minute": round(max(after_first) - after_first[0], 1),
    }


def _live(name: str, video: Path) -> dict[str, Any]:
    """The same of a stream whose frames are sent as they would come from a camera."""
    with av.open(str(video)) as container:
        ends = [packet.pos for packet in container.demux(video=0) if packet.size][1:]
    data = video.read_bytes()
    server = socket.create_server(("127.0.0.1", 0))
    begun: list[float] = []

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            begun.append(time.time())
            for number, (first, last) in enumerate(pairwise([0, *ends, len(data)])):
                time.sleep(max(0.0, begun[0] + number / RATE - time.time()))
                connection.sendall(data[first:last])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    found = _ours(name, f"tcp://127.0.0.1:{server.getsockname()[1]}")
    thread.join()
    server.close()
    behind = [1000 * (clock - begun[0] - position) for position, clock in found.pop("marks")]
    return found | {"latency_ms": spread(behind)}


def _peer(name: str, video: Path, folder: Path, environments: Path) -> dict[str, Any]:
    """A peer's loop over a minute; the reason where its environment can't be made."""
    from peers import _weights

    weights = folder / "weights"
    if not weights.exists():
        _weights(weights)
    try:
        envs.make(PEERS[name], environments)
    except envs.NotMadeError as error:
        return {"left_out": str(error)}
    python = str(envs.python_of(PEERS[name], environments))
    words = [str(_HERE / "_peers" / "video_loop.py"), name, str(video), "60"]
    given = [python, *words, str(weights / "deepface")]
    done = subprocess.run(given, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"left_out": (done.stderr.strip().splitlines() or ["no reason given"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    found["frames_a_second"] = round(found["frames"] / found["seconds"], 2)
    found["times_real_time"] = round(found["frames_a_second"] / RATE, 3)
    found["dropped"] = max(0, round(found["seconds"] * RATE) - found["frames"])
    return found


if __name__ == "__main__":
    sys.exit(main())
