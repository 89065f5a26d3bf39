"""`faceprint serve` in a process of its own, and the memory of a process."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit


@contextlib.contextmanager
def service(folder: Path, *words: str) -> Iterator[tuple[tuple[str, int], subprocess.Popen[str]]]:
    """A service in a process of its own; its address."""
    log = folder / "log"
    command = [sys.executable, "-m", "faceprint", "serve", "--port", "0", *words]
    with (
        log.open("w") as out,
        subprocess.Popen(command, stdout=out, stderr=out, text=True) as process,
    ):
        try:
            while not (found := re.search(r"http://\S+", log.read_text("utf-8"))):
                if process.poll() is not None:
                    raise SystemExit(log.read_text("utf-8"))
                time.sleep(0.05)
            yield ("127.0.0.1", urlsplit(found[0]).port or 0), process
        finally:
            process.terminate()


def memory(pid: int, field: str = "VmRSS") -> float:
    """Megabytes of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]
