"""`faceprint serve` beside insightface behind FastAPI: many clients, the same two weight files.

    python benchmarks/serve_peers.py [--seconds 20] [--rounds 3] [--environments DIR]

Both get LFW's photographs as multipart files from 32 clients and answer boxes and embeddings. The
sides take turns. InsightFace Server 0.2 and Immich's machine learning come as container images and
are not on the package index. So beside ours stands what users of the library insightface write: one
FastAPI route around `FaceAnalysis.get`, in one process and in one per core.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from _common import SHARED, median, provenance, use_shared_models, write
from _peers import envs
from _service import memory, service
from serve_load import Address, Load, Route, form, percentiles, photographs

_SIDE = 320
"""The detector's input for LFW's photographs of 250 pixels, on both sides."""

Start = Callable[[Path], contextlib.AbstractContextManager[tuple[Address, str, list[int]]]]


@contextlib.contextmanager
def ours(folder: Path) -> Iterator[tuple[Address, str, list[int]]]:
    """Address, path and process of `faceprint serve`."""
    words = ("--no-auth", "--rate", "1000000/minute")
    models = ("--detector", "scrfd-500m", "--embedder", "w600k-mbf-dequant")
    with service(folder, *words, *models) as (address, process):
        yield address, "/v1/faces?embed=true", [process.pid]


def theirs(python: Path, workers: int, threads: int) -> Start:
    """How to start insightface's service with so many processes, sessions of so many threads."""

    @contextlib.contextmanager
    def start(folder: Path) -> Iterator[tuple[Address, str, list[int]]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [str(python), "-m", "uvicorn", "service_insightface:app", "--port", str(port)]
        command += ["--workers", str(workers), "--log-level", "warning"]
        values = {"PACK": str(folder / "pack"), "SIDE": str(_SIDE), "THREADS": str(threads)}
        log = folder / "peer.log"
        with (
            log.open("w") as out,
            subprocess.Popen(
                command,
                cwd=Path(__file__).parent / "_peers",
                env=os.environ | values,
                stdout=out,
                stderr=out,
            ) as process,
        ):
            try:
                address = ("127.0.0.1", port)
                while not _answers(address):
                    if process.poll() is not None:
                        raise SystemExit(log.read_text("utf-8")[-2000:])
                    time.sleep(0.2)
                yield address, "/faces", [process.pid, *_children(process.pid)]
            finally:
                process.terminate()

    return start


def _answers(address: Address) -> bool:
    with contextlib.closing(HTTPConnection(*address, timeout=10)) as connection:
        try:
            connection.request("GET", "/docs")
            return connection.getresponse().status == 200
        except OSError:
            return False


def _children(pid: int) -> list[int]:
    names = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(name) for name in names]


def measure(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Median rates of each side over the rounds; sides take turns."""
    images = [path.read_bytes() for path in photographs("lfw", chosen.count)]
    cores = len(os.sched_getaffinity(0))
    envs.make("insightface", chosen.environments)
    python = envs.python_of("insightface", chosen.environments.resolve())
    sides: dict[str, Start] = {
        "faceprint serve": ours,
        "insightface, one process": theirs(python, 1, cores),
        "insightface, one process, sessions of one thread": theirs(python, 1, 1),
        "insightface, a process per core": theirs(python, cores, 1),
    }
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for _ in range(chosen.rounds):
        for name, start in sides.items():
            with start(folder) as (address, path, pids):
                route = Route([form(path, image=image) for image in images], 1)
                Load(address, route, chosen.clients).round(min(5.0, chosen.seconds))
                load = Load(address, route, chosen.clients)
                found = {
                    "requests_per_second": round(load.round(chosen.seconds), 2),
                    "status": dict(load.statuses),
                    "milliseconds": percentiles(load.times),
                    "memory_mb": round(sum(memory(pid) for pid in pids), 1),
                }
            rounds[name].append(found)
            print(name, rounds[name][-1], file=sys.stderr, flush=True)
    return {"clients": chosen.clients, "photographs": len(images), "seconds": chosen.seconds} | {
        "sides": {name: _summary(each) for name, each in rounds.items()}
    }


def _summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    status: dict[str, int] = {}
    for each in rounds:
        for code, count in each["status"].items():
            status[code] = status.get(code, 0) + count
    return {
        "photographs_per_second": median([each["requests_per_second"] for each in rounds]),
        "rounds": [each["requests_per_second"] for each in rounds],
        "p99_milliseconds": median([each["milliseconds"]["p99"] for each in rounds]),
        "median_milliseconds": median([each["milliseconds"]["median"] for each in rounds]),
        "memory_mb": median([each["memory_mb"] for each in rounds]),
        "status": status,
    }


def main() -> None:
    """Print JSON; keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="per side and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--count", type=int, default=400, help="photographs")
    parser.add_argument("--environments", type=Path, default=envs.DEFAULT_FOLDER)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        use_shared_models(folder)
        for name, source in (("det_500m", "det_500m"), ("w600k_mbf", "w600k_mbf_dequant")):
            (folder / "pack").mkdir(exist_ok=True)
            (folder / "pack" / f"{name}.onnx").symlink_to(SHARED / "models" / f"{source}.onnx")
        result = provenance("uvicorn", "fastapi") | measure(chosen, folder)
    write("serve_peers", result)


if __name__ == "__main__":
    main()
