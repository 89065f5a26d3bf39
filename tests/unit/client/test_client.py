"""What the client makes of answers that no service of ours gives on purpose."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

import faceprint
from faceprint.client import client as module

Reply = tuple[int, dict[str, str], bytes]
Serve = Callable[[list[Reply]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that gives these replies one after the other, the last one for ever."""
    running: list[HTTPServer] = []

    def start(replies: list[Reply]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = replies.pop(0) if len(replies) > 1 else replies[0]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(module.time, "sleep", found.append)
    return found


BUSY: Reply = (429, {"Retry-After": "7"}, b'{"type": "/problems/too-many-requests", "title": "T"}')
FINE: Reply = (200, {}, json.dumps({"pack": "starter"}).encode())


def test_a_busy_service_is_asked_once_more(serve: Serve, waited: list[float]) -> None:
    assert faceprint.Client(serve([BUSY, FINE])).models() == {"pack": "starter"}
    assert waited == [7]


def test_it_is_asked_no_third_time(serve: Serve, waited: list[float]) -> None:
    with pytest.raises(faceprint.ServiceError, match="429: T") as error:
        faceprint.Client(serve([BUSY, BUSY, FINE])).models()
    assert error.value.status == 429 and waited == [7]


@pytest.mark.parametrize("after", ["3600", "soon", "", "-1"])
def test_a_wait_that_is_too_long_or_no_number_is_not_begun(
    after: str, serve: Serve, waited: list[float]
) -> None:
    address = serve([(503, {"Retry-After": after}, b""), FINE])
    with pytest.raises(faceprint.ServiceError, match="503"):
        faceprint.Client(address).models()
    assert waited == []


@pytest.mark.parametrize("body", [b"<html>", b"", b"[1"])
def test_an_answer_that_is_no_json_is_a_service_error(body: bytes, serve: Serve) -> None:
    with pytest.raises(faceprint.ServiceError, match="not an answer of faceprint"):
        faceprint.Client(serve([(200, {}, body)])).models()


@pytest.mark.parametrize("document", [{}, [], {"subjects": [{}], "next": None}, {"subjects": 1}])
def test_an_answer_of_another_service_is_a_service_error(document: object, serve: Serve) -> None:
    address = serve([(200, {}, json.dumps(document).encode())])
    with pytest.raises(faceprint.ServiceError):
        list(faceprint.Client(address).subjects())


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'"x"', b'{"type": 1, "title": 2}'])
def test_a_refusal_of_something_between_has_its_status(body: bytes, serve: Serve) -> None:
    with pytest.raises(faceprint.ServiceError, match="502") as error:
        faceprint.Client(serve([(502, {}, body)])).models()
    assert error.value.status == 502


def test_a_redirect_is_not_followed_with_the_key(serve: Serve) -> None:
    elsewhere = serve([FINE])
    address = serve([(307, {"Location": elsewhere}, b"")])
    with pytest.raises(faceprint.ServiceError, match="307"):
        faceprint.Client(address, "fp_secret").models()


def test_nobody_there_is_a_service_error(serve: Serve) -> None:
    with pytest.raises(faceprint.ServiceError) as error:
        faceprint.Client("http://127.0.0.1:9").models()
    assert error.value.status is None


@pytest.mark.parametrize(
    "address", ["", "faces.example.com", "file:///etc/passwd", "http://x:port"]
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(faceprint.UsageError):
        faceprint.Client(address)
