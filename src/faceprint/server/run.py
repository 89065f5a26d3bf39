"""Running the application: one process, until it is told to stop."""

from __future__ import annotations

import gc
import logging
import socket
import sys
from collections.abc import Callable

import uvicorn

from faceprint.errors import UsageError
from faceprint.server.app import ServiceOptions, create_app
from faceprint.vision.analyzer import FaceAnalyzer

__all__ = ["run"]

_GRACE = 60
"""Seconds that a stopping service waits for requests that it has taken."""

_CONNECTIONS = 1000
"""Open at once; uvicorn answers more with 503."""


class _Server(uvicorn.Server):
    """Announces its address once it answers."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[str], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        # An error at the start is raised by `run`; uvicorn would print it with its traceback.
        log = logging.getLogger("uvicorn.error")
        log.disabled = True
        await super().startup(sockets)
        log.disabled = False
        # Everything so far stays; looking through it for garbage again and again took 150 ms each.
        gc.collect()
        gc.freeze()
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            self._announce(f"serving http://{shown}:{port} (Ctrl+C stops)")


def run(
    analyzer: FaceAnalyzer,
    options: ServiceOptions,
    *,
    host: str,
    port: int,
    announce: Callable[[str], None],
) -> None:
    """Serve until SIGINT or SIGTERM, then answer what was taken.

    Args:
        analyzer: see `create_app`.
        port: 0 takes a free one.
        announce: told the address once the service answers.

    Raises:
        UsageError: the address can't be used, or options contradict each other or the models.
        What opening the models and the gallery raises.
    """
    app = create_app(analyzer, options)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger("faceprint.server")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=True,
        lifespan="on",
        timeout_graceful_shutdown=_GRACE,
        limit_concurrency=_CONNECTIONS,
    )
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(kind) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            raise UsageError(f"can't listen on {host}, port {port}: {error.strerror}") from error
        try:
            _Server(config, announce).run(sockets=[listening])
        finally:  # a start that failed ends in SystemExit; with an older uvicorn, without a word
            if app.state.start_error is not None:
                raise app.state.start_error from None
