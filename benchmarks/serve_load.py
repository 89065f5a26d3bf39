"""Many clients at once against a running service, beside `analyze_many` on the same photographs.

    python benchmarks/serve_load.py                        two minutes per route
    python benchmarks/serve_load.py --seconds 10           a quick look

Clients, service and `analyze_many` share this machine's cores; so the clients do next to nothing:
they send requests that were encoded before, and look at the status and length of an answer.
`analyze_many`, with the service idle, and the clients take turns; a route's share is the median of
its rounds, each beside the mean of `analyze_many` before and after. Then requests arrive at twice
the rate that the service could answer, whether or not earlier ones were answered: the service
refuses some with 429.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import re
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

from _common import SHARED, median, provenance, write
from _photographs import lfw
from _service import memory, service

import faceprint

Address = tuple[str, int]

_ENROLLED = 100
_WAITING = 256
"""Requests that the clients of the overload keep open at the most."""

_PROMPT = 0.05
"""Seconds within which a refusal should come."""

_BOUNDARY = "faceprint-benchmark"
_STATUS = re.compile(rb"HTTP/1.1 (\d+) .*?content-length: (\d+)\r\n.*?\r\n\r\n", re.S | re.I)


class Route(NamedTuple):
    """Whole requests, and how many photographs each has."""

    requests: Sequence[bytes]
    photographs: int


def photographs(name: str, count: int) -> list[Path]:
    """Of LFW (250 x 250, wide) or FaceScrub (color, close), evenly spaced."""
    if name == "lfw":
        return lfw(count)
    found = sorted((SHARED / "faces" / name).rglob("*.jpg"))
    return [found[index * len(found) // count] for index in range(count)]


def form(path: str, **images: bytes) -> bytes:
    """A request with these files."""
    parts = []
    for name, data in images.items():
        words = f'Content-Disposition: form-data; name="{name}"; filename="{name}.jpg"'
        parts.append(f"--{_BOUNDARY}\r\n{words}\r\n\r\n".encode() + data + b"\r\n")
    body = b"".join([*parts, f"--{_BOUNDARY}--\r\n".encode()])
    head = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Type: multipart/form-data; boundary={_BOUNDARY}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def routes(images: list[bytes]) -> dict[str, Route]:
    """Name -> what is sent."""
    pairs = zip(images[::2], images[1::2], strict=True)
    return {
        "verify": Route([form("/v1/verify", a=a, b=b) for a, b in pairs], 2),
        "identify": Route([form("/v1/identify", image=image) for image in images], 1),
    }


def send(connection: socket.socket, route: Route, index: int) -> str:
    """Send one request, read its answer, and give its status."""
    connection.sendall(route.requests[index % len(route.requests)])
    answer = b""
    while (head := _STATUS.match(answer)) is None or len(answer) < head.end() + int(head[2]):
        if not (part := connection.recv(1 << 16)):
            raise ConnectionResetError
        answer += part
    return head[1].decode()


class Load:
    """What a route answered in all rounds."""

    def __init__(self, address: Address, route: Route, clients: int) -> None:
        self.address, self.route, self.clients = address, route, clients
        self.numbers, self.statuses = itertools.count(), Counter[str]()
        self.times: list[float] = []

    def round(self, seconds: float) -> float:
        """Answers per second to clients each of which waits for one before it sends the next."""
        end, before = time.perf_counter() + seconds, len(self.times)

        def one(_: int) -> None:
            with closing(socket.create_connection(self.address, 60)) as connection:
                while (started := time.perf_counter()) < end:
                    status = send(connection, self.route, next(self.numbers))
                    self.times.append(time.perf_counter() - started)
                    self.statuses[status] += 1

        started = time.perf_counter()
        with ThreadPoolExecutor(self.clients) as pool:
            list(pool.map(one, range(self.clients)))
        return (len(self.times) - before) / (time.perf_counter() - started)


async def overload(
    address: Address, route: Route, rate: float, seconds: float, pid: int
) -> dict[str, Any]:
    """Requests at a fixed rate, each on a connection of its own.

    `own_delay_ms` says how late this process itself was to send them: as late may it have been to
    read the answers.
    """
    times: dict[str, list[float]] = {}
    resident: list[float] = []
    running: set[asyncio.Task[None]] = set()

    async def one(index: int) -> None:
        started = time.perf_counter()
        try:
            reader, writer = await asyncio.open_connection(*address)
            with closing(writer):
                writer.write(route.requests[index % len(route.requests)])
                answer = b""
                while not (head := _STATUS.match(answer)) or len(answer) < head.end() + int(
                    head[2]
                ):
                    if not (part := await reader.read(1 << 16)):
                        raise ConnectionResetError
                    answer += part
            status = head[1].decode()
        except OSError as error:
            status = type(error).__name__
        times.setdefault(status, []).append(time.perf_counter() - started)

    first, late = time.perf_counter(), 0
    own: list[float] = []
    for index in range(int(rate * seconds)):
        due = first + index / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        own.append(max(0.0, time.perf_counter() - due))
        if len(running) >= _WAITING:
            late += 1
            continue
        task = asyncio.create_task(one(index))
        running.add(task)
        task.add_done_callback(running.discard)
        if index % 100 == 0:
            resident.append(memory(pid))
    await asyncio.gather(*running)
    fifth = max(1, len(resident) // 5)
    return {
        "offered_per_second": round(rate, 1),
        "not_sent": late,
        "answers": {
            status: {
                "count": len(values),
                "milliseconds": percentiles(values),
                "over_50_ms": sum(value > _PROMPT for value in values),
            }
            for status, values in sorted(times.items())
        },
        "own_delay_ms": percentiles(own),
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
    with service(folder, *words) as (address, process):
        loads = {
            name: Load(address, route, chosen.clients) for name, route in routes(images).items()
        }
        for each in loads.values():
            each.round(min(5.0, chosen.seconds))
            each.times.clear()
        for name, each in loads.items():
            rates, rounds = [alone()], []
            for _ in range(chosen.rounds):
                rounds.append(each.route.photographs * each.round(chosen.seconds / chosen.rounds))
                rates.append(alone())
            means = [(a + b) / 2 for a, b in itertools.pairwise(rates)]
            shares = [served / mean for served, mean in zip(rounds, means, strict=True)]
            result[name] = {
                "status": dict(each.statuses.most_common()),
                "milliseconds": percentiles(each.times),
                "photographs_per_second": [round(rate, 1) for rate in rounds],
                "analyze_many": [round(rate, 1) for rate in rates],
                "shares": [round(share, 3) for share in shares],
                "share": round(median(shares), 3),
                "memory_mb": round(memory(process.pid), 1),
            }
        rate, route = 2 * median(rounds), each.route
        result["overload"] = asyncio.run(
            overload(address, route, rate, chosen.seconds, process.pid)
        )
    return result


def main() -> None:
    """Print JSON; keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="per route")
    parser.add_argument("--rounds", type=int, default=5, help="in which the seconds are spent")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--count", type=int, default=400, help="photographs")
    parser.add_argument("--photographs", choices=("lfw", "facescrub"), default="lfw")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        result = provenance("uvicorn", "fastapi") | measure(chosen, Path(scratch))
    write(f"serve_load_{chosen.photographs}", result)


if __name__ == "__main__":
    main()
