"""Many clients at once against a running service, beside `analyze_many` on the same photographs.

    python benchmarks/serve_load.py                        two minutes per route
    python benchmarks/serve_load.py --seconds 10           a quick look

Clients, service and `analyze_many` share this machine's cores; so the clients do next to nothing:
they send bodies that were encoded before. `analyze_many` runs before and after each route, with the
service idle. Then requests arrive at twice the rate that the service could
answer, whether or not earlier ones were answered: the service refuses some with 429.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

from _common import SHARED, median, provenance, write
from _photographs import lfw
from _service import memory, service

import faceprint

_ENROLLED = 100
_WAITING = 256
"""Requests that the clients of the overload keep open at the most."""

_BOUNDARY = "faceprint-benchmark"
_HEADERS = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}


class Route(NamedTuple):
    """Where to send, what, and how many photographs a request has."""

    path: str
    bodies: Sequence[bytes]
    photographs: int


def photographs(name: str, count: int) -> list[Path]:
    """Of LFW (250 x 250, wide) or FaceScrub (color, close), evenly spaced."""
    if name == "lfw":
        return lfw(count)
    found = sorted((SHARED / "faces" / name).rglob("*.jpg"))
    return [found[index * len(found) // count] for index in range(count)]


def form(**images: bytes) -> bytes:
    """The body of a request with these files."""
    parts = []
    for name, data in images.items():
        words = f'Content-Disposition: form-data; name="{name}"; filename="{name}.jpg"'
        parts.append(f"--{_BOUNDARY}\r\n{words}\r\n\r\n".encode() + data + b"\r\n")
    return b"".join([*parts, f"--{_BOUNDARY}--\r\n".encode()])


def routes(images: list[bytes]) -> dict[str, Route]:
    """Name -> what is sent."""
    pairs = zip(images[::2], images[1::2], strict=True)
    return {
        "verify": Route("/v1/verify", [form(a=a, b=b) for a, b in pairs], 2),
        "identify": Route("/v1/identify", [form(image=image) for image in images], 1),
    }


def send(connection: HTTPConnection, route: Route, index: int) -> int:
    """Send one request, read its answer, and give its status."""
    connection.request("POST", route.path, route.bodies[index % len(route.bodies)], _HEADERS)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def load(address: str, route: Route, clients: int, seconds: float) -> dict[str, Any]:
    """`clients` clients, each of which sends a request once its last one is answered."""
    numbers, statuses, times = itertools.count(), Counter[int](), []
    end = time.perf_counter() + seconds

    def one(_: int) -> None:
        with closing(HTTPConnection(address, timeout=60)) as connection:
            while (started := time.perf_counter()) < end:
                status = send(connection, route, next(numbers))
                times.append(time.perf_counter() - started)
                statuses[status] += 1

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(one, range(clients)))
    return {
        "requests_per_second": round(len(times) / (time.perf_counter() - started), 2),
        "status": {str(status): count for status, count in statuses.most_common()},
        "milliseconds": percentiles(times),
    }


def overload(address: str, route: Route, rate: float, seconds: float, pid: int) -> dict[str, Any]:
    """Requests at a fixed rate."""
    times: dict[str, list[float]] = {}
    resident: list[float] = []
    local = threading.local()
    late = 0

    def one(index: int) -> None:
        if not hasattr(local, "connection"):
            local.connection = HTTPConnection(address, timeout=60)
        started = time.perf_counter()
        try:
            status = str(send(local.connection, route, index))
        except (OSError, HTTPException) as error:
            status = type(error).__name__
            local.connection.close()
        times.setdefault(status, []).append(time.perf_counter() - started)
        free.release()

    free = threading.Semaphore(_WAITING)
    with ThreadPoolExecutor(_WAITING) as pool:
        first = time.perf_counter()
        for index in range(int(rate * seconds)):
            time.sleep(max(0.0, first + index / rate - time.perf_counter()))
            if not free.acquire(blocking=False):
                late += 1
                continue
            pool.submit(one, index)
            if index % 100 == 0:
                resident.append(memory(pid))
    fifth = max(1, len(resident) // 5)
    return {
        "offered_per_second": round(rate, 1),
        "not_sent": late,
        "answers": {
            status: {"count": len(values), "milliseconds": percentiles(values)}
            for status, values in sorted(times.items())
        },
        "memory_mb": {
            "second_fifth": round(median(resident[fifth : 2 * fifth]), 1),
            "last_fifth": round(median(resident[-fifth:]), 1),
        },
    }


def percentiles(times: list[float]) -> dict[str, float]:
    """Of seconds, in milliseconds."""
    ordered = sorted(times)
    shares = {"median": 0.5, "p99": 0.99, "most": 1.0}
    last = len(ordered) - 1
    return {name: round(1000 * ordered[round(share * last)], 1) for name, share in shares.items()}


def measure(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Each route under load, then identify under twice of it."""
    paths = photographs(chosen.photographs, chosen.count)
    images = [path.read_bytes() for path in paths]
    analyzer = faceprint.load()
    with faceprint.Gallery.open(folder / "people.db", analyzer) as gallery:
        for path in paths[:_ENROLLED]:
            gallery.enroll(path.stem, path, min_quality=0)

    def alone() -> float:
        started = time.perf_counter()
        for _ in analyzer.analyze_many(images):
            pass
        return len(images) / (time.perf_counter() - started)

    alone()
    result: dict[str, Any] = {"clients": chosen.clients, "photographs": len(images)}
    words = ["--no-auth", "--gallery", str(folder / "people.db"), "--rate", "1000000/minute"]
    chosen_routes = routes(images)
    with service(folder, *words) as ((host, port), process):
        address = f"{host}:{port}"
        load(address, chosen_routes["identify"], chosen.clients, min(10.0, chosen.seconds))
        for name, route in chosen_routes.items():
            before = alone()
            found = load(address, route, chosen.clients, chosen.seconds)
            rates = [before, alone()]
            served = route.photographs * found["requests_per_second"]
            result[name] = found | {
                "photographs_per_second": round(served, 2),
                "analyze_many": [round(rate, 2) for rate in rates],
                "share": round(served / (sum(rates) / 2), 3),
                "memory_mb": round(memory(process.pid), 1),
            }
        rate, route = 2 * result["identify"]["requests_per_second"], chosen_routes["identify"]
        result["overload"] = overload(address, route, rate, chosen.seconds, process.pid)
    return result


def main() -> None:
    """Print JSON; keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="per route")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--count", type=int, default=400, help="photographs")
    parser.add_argument("--photographs", choices=("lfw", "facescrub"), default="lfw")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        result = provenance("uvicorn", "fastapi") | measure(chosen, Path(scratch))
    write(f"serve_load_{chosen.photographs}", result)


if __name__ == "__main__":
    main()
