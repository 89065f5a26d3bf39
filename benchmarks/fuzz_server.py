"""Damaged uploads, bombs, lying lengths and slow bodies against a running service.

    python benchmarks/fuzz_server.py                        10,000 requests
    python benchmarks/fuzz_server.py --cases 500 --seed 2   others, fewer
    python benchmarks/fuzz_server.py --index 17             one request again

Every answer must be a 4xx or right: the faces of a photograph are compared with those that the
library finds here. The memory of the service is read before and after.
"""

from __future__ import annotations

import argparse
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from _common import median, provenance, write
from _service import memory, service
from fuzz_requests import Request, Requests, judge, parsed, send

import faceprint
from faceprint.server.keys import SCOPES, KeyFile
from faceprint.server.problems import problem_of

_SAMPLE = 100
"""Requests between two readings of the memory."""


def slow(address: tuple[str, int], requests: Requests, index: int, stop: threading.Event) -> int:
    """Send a body a byte at a time; the status of the answer, 0 where the end came first."""
    head, body = requests.slow(index)
    with socket.create_connection(address) as connection:
        connection.sendall(head + body[:100])
        connection.settimeout(0.5)
        for byte in body[100:]:
            try:
                if text := connection.recv(1 << 16):
                    return parsed(text).status
            except TimeoutError:
                pass
            except OSError:
                return -1
            if stop.is_set():
                return 0
            connection.sendall(bytes([byte]))
    return 0


class Judge:
    """Analyzes photographs here and compares the service's answers."""

    def __init__(self) -> None:
        self._analyzer = faceprint.load(threads=1)

    def __call__(self, request: Request, answer: Any) -> str:
        """What is wrong; empty for a right answer."""
        expected = None
        if request.image is not None and answer.status not in (0, 429):
            (result,) = self._analyzer.analyze_many([request.image])
            if result.error is None:
                expected = (200, [face.to_dict()["box"] for face in result.faces])
            else:
                expected = (problem_of(result.error).status, [])
        return judge(request, answer, expected)


def measure(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Send the cases from a few threads and add up."""
    key, _ = KeyFile(folder / "keys.json").create("fuzz", SCOPES)
    words = ["--keys", str(folder / "keys.json"), "--gallery", str(folder / "people.db")]
    words += ["--rate", "1000000/minute"]
    requests, right = Requests(chosen.seed, key, folder), Judge()
    kinds: dict[str, Counter[str]] = {}
    findings: list[dict[str, Any]] = []
    seconds: list[float] = []
    with service(folder, *words) as (address, process), ThreadPoolExecutor(32) as pool:
        stop = threading.Event()
        slows = [pool.submit(slow, address, requests, index, stop) for index in range(chosen.slow)]

        def one(index: int) -> None:
            request = requests.case(index)
            started = time.perf_counter()
            answer = send(address, request)
            seconds.append(time.perf_counter() - started)
            wrong = right(request, answer)
            kind = request.what.split()[0]
            kinds.setdefault(kind, Counter())[str(answer.status)] += 1
            if wrong:
                findings.append({"index": index, "what": request.what, "wrong": wrong})
                print(index, request.path, request.what, wrong, file=sys.stderr, flush=True)

        indices = range(chosen.cases) if chosen.index is None else [chosen.index]
        samples = [memory(process.pid)]
        with ThreadPoolExecutor(chosen.clients) as clients:
            for first in range(0, len(indices), _SAMPLE):
                list(clients.map(one, indices[first : first + _SAMPLE]))
                if process.poll() is not None:
                    raise SystemExit(f"the service ended: {process.returncode}")
                samples.append(memory(process.pid))
        stop.set()
        statuses = Counter(str(done.result()) for done in slows)
        peak = memory(process.pid, "VmHWM")
    part = max(1, len(samples) // 5)
    # The first fifth warms up: sessions, caches, the gallery.
    before, after = median(samples[part : 2 * part + 1]), median(samples[-part:])
    return {
        "cases": len(indices),
        "seed": chosen.seed,
        "clients": chosen.clients,
        "status": {kind: dict(counted.most_common()) for kind, counted in sorted(kinds.items())},
        "slow": dict(statuses),
        "seconds": {"median": round(median(seconds), 3), "most": round(max(seconds), 2)},
        "memory_mb": {
            "before": round(before, 1),
            "after": round(after, 1),
            "growth": round(after / before - 1, 3),
            "peak": round(peak, 1),
            "samples": [round(value) for value in samples],
        },
        "findings": findings,
    }


def main() -> None:
    """Print JSON; leave with 1 when something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--index", type=int, help="this request alone")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--slow", type=int, default=8, help="bodies that arrive slowly meanwhile")
    parser.add_argument("--keep", action="store_true", help="write benchmarks/results/")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = provenance("fastapi", "uvicorn") | measure(chosen, Path(folder))
    if chosen.keep:
        write("fuzz_server", result)
    else:
        import json

        print(json.dumps(result, indent=2))
    sys.exit(bool(result["findings"]))


if __name__ == "__main__":
    main()
