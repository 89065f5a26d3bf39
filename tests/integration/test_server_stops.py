"""A service told to stop answers what it took; a killed one kept what it acknowledged."""

from __future__ import annotations

import io
import signal
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import PIL.Image
import pytest
from live_server import serving
from waiting import until

import faceprint
from faceprint.server.keys import SCOPES, KeyFile

SAMPLES = Path(faceprint.__file__).parent / "samples"
OBAMA, OBAMA2 = ((SAMPLES / name).read_bytes() for name in ("obama.jpg", "obama2.jpg"))
CLIENTS = 32


@pytest.fixture
def stored(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json")


def post(path: str, secret: str, **files: bytes) -> bytes:
    """A request with photographs, as it goes over the wire."""
    request = httpx.Request(
        "POST",
        f"http://service{path}",
        headers={"Authorization": f"Bearer {secret}"},
        files={name: (f"{name}.jpg", content) for name, content in files.items()},
    )
    head = [
        f"POST {path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in request.headers.items()),
    ]
    return "\r\n".join([*head, "", ""]).encode() + request.read()


def small(photograph: bytes) -> bytes:
    """The same in a size that even a busy machine analyzes within the minute that is left."""
    with PIL.Image.open(io.BytesIO(photograph)) as image:
        image.thumbnail((200, 200))
        image.save(file := io.BytesIO(), "JPEG")
    return file.getvalue()


def status_of(connection: socket.socket) -> str:
    """The first line of the answer, once all of it has arrived; empty without an answer."""
    with connection.makefile("rb") as answer:
        text = answer.read()
    assert not text or b"\r\n\r\n{" in text
    return text.partition(b"\r\n")[0].decode()


def refuses(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address).close()
    except ConnectionRefusedError:
        return True
    return False


def test_sigterm_in_the_middle_of_requests_answers_each(tmp_path: Path, stored: KeyFile) -> None:
    secret, _ = stored.create("all", SCOPES)
    request = post("/v1/verify", secret, a=small(OBAMA), b=small(OBAMA2))
    with serving(tmp_path / "log", "--keys", stored.path, "--threads", 1) as (url, process):
        address = ("127.0.0.1", urlsplit(url).port or 0)
        connections = [socket.create_connection(address) for _ in range(CLIENTS)]
        for connection in connections:
            connection.sendall(request[:-1])

        def taken() -> bool:
            headers = {"Authorization": f"Bearer {secret}"}
            metrics = httpx.get(f"{url}/metrics", headers=headers, trust_env=False).text
            return f"faceprint_uploads {CLIENTS}.0" in metrics

        until(taken, process)
        # Half of them are being analyzed, half are still being received.
        for connection in connections[: CLIENTS // 2]:
            connection.sendall(request[-1:])
        process.send_signal(signal.SIGTERM)
        until(lambda: refuses(address))
        for connection in connections[CLIENTS // 2 :]:
            connection.sendall(request[-1:])
        assert [status_of(connection) for connection in connections] == [
            "HTTP/1.1 200 OK"
        ] * CLIENTS
        for connection in connections:
            connection.close()
        assert process.wait() == -signal.SIGTERM  # as if it had not been caught


@pytest.mark.parametrize("others", [0, 3])
def test_after_sigkill_the_gallery_holds_what_was_acknowledged(
    others: int, tmp_path: Path, stored: KeyFile
) -> None:
    secret, _ = stored.create("all", SCOPES)
    gallery = tmp_path / "people.db"
    words = ("--keys", stored.path, "--gallery", gallery, "--threads", 1)
    told: dict[str, str] = {}

    def enroll(url: str, number: int) -> None:
        """Enroll photographs that differ behind their end until the service is gone."""
        headers = {"Authorization": f"Bearer {secret}"}
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=None) as client:
            for count in range(10**9):
                files = {"images": ("a.jpg", OBAMA[:2] + comment(f"{number} {count}") + OBAMA[2:])}
                name = f"p{number}-{count % 3}"
                try:
                    answer = client.post("/v1/subjects", data={"name": name}, files=files)
                except httpx.HTTPError:
                    return
                assert answer.status_code == 201
                (result,) = answer.json()["results"]
                assert result["new"]
                told[result["template"]] = name

    with serving(tmp_path / "log", *words) as (url, process):
        writers = [threading.Thread(target=enroll, args=(url, n)) for n in range(1 + others)]
        for writer in writers:
            writer.start()
        until(lambda: len(told) >= 12, process)
        process.kill()
        for writer in writers:
            writer.join()

    with faceprint.Gallery.open(gallery) as opened:
        held = {
            row.id: subject.name
            for subject in opened.subjects()
            for row in opened.show(subject.name)[1]
        }
        assert {key: held.get(key) for key in told} == told
        assert opened.verify() == [] and opened.verify_audit().intact
    with serving(tmp_path / "log", *words) as (url, _):
        headers = {"Authorization": f"Bearer {secret}"}
        answer = httpx.post(
            f"{url}/v1/identify", headers=headers, files={"image": OBAMA2}, trust_env=False,
            timeout=None,
        )  # fmt: skip
        assert answer.json()["faces"][0]["subject"] in told.values()


def comment(text: str) -> bytes:
    """A comment segment of a JPEG."""
    body = text.encode()
    return b"\xff\xfe" + (len(body) + 2).to_bytes(2, "big") + body
