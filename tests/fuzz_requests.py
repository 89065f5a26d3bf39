"""Damaged, hostile and lying requests for a running service, and what is a right answer to each.

A case is a seed and an index; they decide what is sent. Photographs are damaged as in
`fuzz_originals`; some requests are damaged instead of, or besides, their photograph.
"""

from __future__ import annotations

import contextlib
import io
import json
import socket
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import PIL.Image
from fuzz_originals import MAKERS, Original
from mutations import LIES, mutate
from mutations_pictures import _chunk

__all__ = ["Answer", "Request", "Requests", "judge", "send"]

_BOUNDARY = b"fuzz-7d1"
_HTTP = b"\r\n"
_SECONDS = 120.0
"""Without an answer for so long a request counts as unanswered."""
_PATIENCE = 0.2
"""Seconds before an incomplete request ends."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent.

    Attributes:
        what: the kind of the case, and the mutations.
        path: of the route.
        data: all bytes, head and body.
        image: the photograph, where the request is well-formed and asks for its faces.
        whole: whether the request is complete, so that an answer must come.
    """

    what: str
    path: str
    data: bytes
    image: bytes | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """Status (0 without an answer), headers and body."""

    status: int
    headers: dict[str, str]
    body: bytes


class Requests:
    """The cases of a seed.

    Args:
        key: sent with each request.
        folder: for the photographs that are damaged.
    """

    def __init__(self, seed: int, key: str, folder: Path) -> None:
        self._seed, self._key = seed, key
        self._originals = [*MAKERS["photographs"](folder), _gif()]
        self._good = next(o.data for o in self._originals if o.name == "plain.jpg")

    def case(self, index: int) -> Request:
        """The request of that index."""
        rng = Random(f"requests/{self._seed}/{index}")
        kind = rng.choices(_KINDS, _WEIGHTS)[0]
        what, image = self._photograph(kind, rng)
        if kind in ("photograph", "bomb", "polyglot"):
            path, body = self._form(image, rng)
            data = self._head(path, len(body)) + body
            return Request(what, path, data, image if path == "/v1/faces" else None)
        path, body = self._form(image, rng)
        if kind == "form":
            body, names = mutate(body, rng)
            return Request(f"form {'+'.join(names)}", path, self._head(path, len(body)) + body)
        return self._lie(rng, path, body)

    def slow(self, index: int) -> tuple[bytes, bytes]:
        """Head and body of a request whose body is to be sent slowly and never ends."""
        rng = Random(f"slow/{self._seed}/{index}")
        path, body = self._form(self._good, rng)
        return self._head(path, len(body) + 1_000_000), body

    def _photograph(self, kind: str, rng: Random) -> tuple[str, bytes]:
        if kind == "bomb":
            name = rng.choice(list(_BOMBS))
            return f"bomb {name}", _BOMBS[name](rng)
        original = rng.choice(self._originals)
        if kind == "polyglot":
            return f"polyglot {original.name}", _polyglot(original.data, rng)
        others = [other.data for other in self._originals if other is not original]
        data, names = mutate(original.data, rng, original.mutators, others)
        return f"photograph {original.name} {'+'.join(names)}", data

    def _form(self, image: bytes, rng: Random) -> tuple[str, bytes]:
        path = rng.choices(
            ["/v1/faces", "/v1/verify", "/v1/identify", "/v1/subjects", "/v1/cluster"],
            [12, 2, 2, 2, 1],
        )[0]
        if path == "/v1/verify":
            parts = [("a", image), ("b", self._good)]
            rng.shuffle(parts)
        elif path == "/v1/subjects":
            name = f"p{rng.randrange(40)}".encode()
            parts = [("name", name), ("images", image), ("images", self._good)]
        elif path == "/v1/cluster":
            parts = [("images", image), ("images", self._good)]
        else:
            parts = [("image", image)]
        return path, multipart(parts)

    def _head(self, path: str, length: int | None, *more: bytes) -> bytes:
        lines = [
            f"POST {path} HTTP/1.1".encode(),
            b"Host: 127.0.0.1",
            b"Connection: close",
            b"Authorization: Bearer " + self._key.encode(),
            b"Content-Type: multipart/form-data; boundary=" + _BOUNDARY,
            *more,
        ]
        if length is not None:
            lines.append(b"Content-Length: %d" % length)
        return _HTTP.join([*lines, b"", b""])

    def _lie(self, rng: Random, path: str, body: bytes) -> Request:
        what = rng.choice(("longer", "shorter", "odd", "twice", "chunks", "none"))
        whole = False
        if what == "longer":
            more = rng.choice((1, 1000, 1_000_000, 10**8, 10**14, 10**20))
            head = self._head(path, len(body) + more)
            whole = len(body) + more > 24_000_000  # refused before the body
        elif what == "shorter":
            head = self._head(path, rng.randrange(len(body)))
            whole = True
        elif what == "odd":
            value = rng.choice(
                (b"-1", b"0x10", b"1e3", b"", b" ", b"1,2", b"\xb2", b"%d" % LIES[-1])
            )
            head = self._head(path, None, b"Content-Length: " + value)
        elif what == "twice":
            more = b"Content-Length: %d" % rng.choice((0, 5, len(body)))
            head = self._head(path, len(body), more)
        elif what == "chunks":
            head = self._head(path, None, b"Transfer-Encoding: chunked")
            size = rng.choice((len(body), len(body), len(body) - 1, 1, *LIES))
            end = rng.choice((b"0\r\n\r\n", b"", b"zz\r\n", b"0\r\n"))
            body = b"%x\r\n" % size + body + _HTTP + end
        else:
            head = self._head(path, None)
        return Request(f"lie {what}", path, head + body, whole=whole)


_KINDS = ("photograph", "bomb", "polyglot", "form", "lie")
_WEIGHTS = (80, 1, 6, 8, 5)


def multipart(parts: list[tuple[str, bytes]]) -> bytes:
    """A form; `name` is a field, everything else a file."""
    out = b""
    for number, (name, content) in enumerate(parts):
        file = "" if name == "name" else f'; filename="{number}.jpg"'
        out += b"--%b\r\nContent-Disposition: form-data; name=%b\r\n\r\n%b\r\n" % (
            _BOUNDARY, f'"{name}"{file}'.encode(), content,
        )  # fmt: skip
    return out + b"--" + _BOUNDARY + b"--\r\n"


def _gif() -> Original:
    out = io.BytesIO()
    picture = PIL.Image.new("P", (80, 60))
    picture.save(out, "GIF", save_all=True, append_images=[PIL.Image.new("P", (80, 60), 9)])
    return Original("moving.gif", out.getvalue(), ())


def _blank(form: str, width: int, height: int, **options: Any) -> bytes:
    out = io.BytesIO()
    PIL.Image.fromarray(np.zeros((height, width), np.uint8)).save(out, form, **options)
    return out.getvalue()


def _png_header(width: int, height: int, pixels: bytes) -> bytes:
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    chunks = _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(pixels)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


_BOMBS: dict[str, Callable[[Random], bytes]] = {
    "png of few bytes, many pixels": lambda rng: _blank("png", 4000, 3000),
    "png over the limit": lambda rng: _png_header(60_000, 60_000, bytes(1000)),
    "png of more pixels than it says": lambda rng: _png_header(50, 50, bytes(30_000_000)),
    "png of fewer pixels than it says": lambda rng: _png_header(9000, 9000, bytes(1000)),
    "jpeg of few bytes, many pixels": lambda rng: _blank("jpeg", 5000, 4000, quality=1),
    "tiff of few bytes, many pixels": lambda rng: _blank(
        "tiff", 4000, 4000, compression="tiff_adobe_deflate"
    ),
    "webp over the limit": lambda rng: _blank("webp", 64, 64)[:-20] + rng.randbytes(20),
    "gif of many pixels": lambda rng: b"GIF89a" + b"\xff" * 4 + b"\x00" * 3 + rng.randbytes(99),
    "zip": lambda rng: b"PK\x03\x04" + zlib.compress(bytes(20_000_000)),
    "svg of entities": lambda rng: (
        b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY a "aaaaaaaaaa">'
        b'<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><svg>&b;&b;</svg>'
    ),
}


def _polyglot(data: bytes, rng: Random) -> bytes:
    page = b"<!DOCTYPE html><script>alert(1)</script>"
    return rng.choice(
        (
            page + data,
            data + page,
            b"%PDF-1.7\n" + data + b"\n%%EOF",
            data + b"PK\x05\x06" + bytes(18),
            b"GIF89a" + data,
            b"\xff\xd8\xff\xe0" + data,
            data + data,
            b"#!/bin/sh\nexit 1\n" + data,
            b"\xef\xbb\xbf" + data,
        )
    )


def send(address: tuple[str, int], request: Request) -> Answer:
    """The first answer to a request. The bytes of an incomplete one are followed by their end."""
    text = b""
    with socket.create_connection(address) as connection, contextlib.suppress(OSError):
        # An error is a connection that the service closed; the answer may have come before.
        with contextlib.suppress(OSError):
            connection.sendall(request.data)
        connection.settimeout(_SECONDS if request.whole else _PATIENCE)
        with contextlib.suppress(TimeoutError):
            while part := connection.recv(1 << 16):
                text += part
        if not text and not request.whole:
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(_SECONDS)
            while part := connection.recv(1 << 16):
                text += part
    return parsed(text)


def parsed(text: bytes) -> Answer:
    """An answer from its bytes."""
    head, _, body = text.partition(_HTTP * 2)
    first, *lines = head.decode("latin-1").split("\r\n")
    if not first.startswith("HTTP/1.1 "):
        return Answer(0, {}, text)
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]), headers, body[: int(headers.get("content-length", "0"))])


def judge(request: Request, answer: Answer, expected: tuple[int, list[list[float]]] | None) -> str:
    """What is wrong with an answer; empty for a right one.

    Args:
        expected: status and boxes of the photograph, analyzed here.
    """
    status = answer.status
    if not status:
        return "no answer" if request.whole else ""
    if status not in (200, 201) and not 400 <= status < 500:
        return f"status {status}: {answer.body[:300]!r}"
    if answer.headers.get("content-type", "").startswith("text/plain"):
        return "" if status == 400 else f"text with status {status}"  # not HTTP at all
    document = json.loads(answer.body)
    if status >= 400:
        if document.get("status") != status or "/problems/" not in document.get("type", ""):
            return f"not a problem document: {answer.body[:300]!r}"
        told = json.dumps(document)
        if "Error" in told or "/tmp" in told or ".py" in told:
            return f"tells about the server: {told[:300]}"
    if expected is None:
        return ""
    boxes = [face["box"] for face in document["faces"]] if status == 200 else []
    if status != expected[0] or not np.allclose(boxes, expected[1], atol=0.02):
        return f"{status} {boxes} instead of {expected}: {answer.body[:200]!r}"
    return ""
