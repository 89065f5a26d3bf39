"""A local HTTP server that serves files and misbehaves on request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Route:
    """How one path answers.

    Attributes:
        body: the file.
        status: sent instead of the file when not 200.
        ranges: Range and If-Range are honored.
        etag: the validator; empty for none.
        cuts: a request number (from 0) -> bytes of the body sent before the connection is cut;
            key -1 stands for every request.
        declare: Content-Length, when it shall lie.
        gate: the body is sent once this is set.
        held: after the first byte the server waits for this.
    """

    body: bytes = b""
    status: int = 200
    ranges: bool = True
    etag: str = '"v1"'
    cuts: dict[int, int] = field(default_factory=dict)
    declare: int | None = None
    gate: threading.Event | None = None
    held: threading.Event | None = None


@dataclass
class Server:
    """The running server: its address, its routes, and what it was asked."""

    url: str
    routes: dict[str, Route]
    requests: list[tuple[str, dict[str, str]]]
    sent: list[int]

    def add(self, name: str, body: bytes = b"", **options: object) -> str:
        """Serve a file; its address."""
        self.routes[f"/{name}"] = Route(body, **options)  # type: ignore[arg-type]
        return f"{self.url}/{name}"

    def count(self, name: str) -> int:
        """How often it was asked for."""
        return sum(path == f"/{name}" for path, _ in self.requests)


@contextmanager
def faulty_server() -> Iterator[Server]:
    """Run a server on a free port of the loopback address."""
    state = Server("", {}, [], [])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            number = state.count(self.path[1:])
            state.requests.append((self.path, dict(self.headers)))
            route = state.routes.get(self.path)
            if route is None or route.status != 200:
                self.send_error(404 if route is None else route.status)
                return
            self._serve(route, route.cuts.get(number, route.cuts.get(-1)))

        def _serve(self, route: Route, cut: int | None) -> None:
            start = 0
            wanted = self.headers.get("Range", "")
            if route.ranges and wanted and self.headers.get("If-Range") in (None, route.etag):
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(route.body):
                    self.send_error(416)
                    return
            body = route.body[start:]
            self.send_response(206 if start else 200)
            if start:
                total = len(route.body)
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            if route.etag:
                self.send_header("ETag", route.etag)
            length = len(body) if route.declare is None else route.declare
            self.send_header("Content-Length", str(length))
            self.end_headers()
            body = body if cut is None else body[:cut]
            try:
                if route.gate is not None:
                    route.gate.wait()
                if route.held is not None:
                    self.wfile.write(body[:1])
                    self.wfile.flush()
                    route.held.wait()
                for offset in range(0, len(body), 65536):
                    self.wfile.write(body[offset : offset + 65536])
                    state.sent.append(len(body[offset : offset + 65536]))
            except OSError:
                pass  # the client had enough
            if cut is not None:
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
