"""The service on a port of this machine: in a thread, or as a process."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from waiting import until

__all__ = ["served", "serving"]


@contextlib.contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve until the end of the block; its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            until(lambda: server.started or not thread.is_alive())
            assert server.started
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def serving(log: Path, *words: object) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run `faceprint serve` with these options; its address and process. Killed at the end.

    Args:
        log: receives what the service prints.
    """
    command = [sys.executable, "-m", "faceprint", "serve", "--port", "0", *map(str, words)]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            found = until(lambda: re.search(r"http://\S+", log.read_text("utf-8")), process)
            yield found[0], process
        finally:
            process.kill()
