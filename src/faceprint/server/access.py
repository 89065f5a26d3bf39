"""Who may do what: keys and scopes, rates per key, and limits on requests, before any body is read.

A route is a `GuardedRoute`, which must say what scope it needs; it is checked before the request's
body is read, so that nobody without a key can make the server hold an upload.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi.routing import APIRoute
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from faceprint.errors import UsageError
from faceprint.server.keys import SCOPES, ApiKey, KeyFile, Scope
from faceprint.server.problems import HttpError

__all__ = ["SCOPE_FIELD", "Access", "Admission", "GuardedRoute", "needs"]

SCOPE_FIELD = "x-required-scope"
"""Where a route's OpenAPI document says which scope it needs."""

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})

_FAILURES = parse("20/minute")
"""Wrong keys that one address may try."""


def needs(scope: Scope) -> dict[str, Any]:
    """`openapi_extra` of a route that a key of this scope may call."""
    return {SCOPE_FIELD: scope, "security": [{"key": []}]}


class Access:
    """Checks the key of each request.

    Args:
        keys: None where everybody may do everything (`--no-auth`, on loopback).
        rate: requests per key, such as `600/minute`.

    Raises:
        UsageError: that is not a rate.
    """

    def __init__(self, keys: KeyFile | None, rate: str) -> None:
        self._keys = keys
        try:
            self._rate: RateLimitItem = parse(rate)
        except ValueError as error:
            raise UsageError(f"{rate!r} is not a rate such as 1200/minute") from error
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def check(self, request: Request, scope: Scope, secret: str) -> None:
        """Let the request pass, and remember whose it is in `request.state.key`.

        Args:
            secret: the key that came with the request; empty where none did.

        Raises:
            HttpError: 401 without a valid key, 403 where it lacks the scope, 429 beyond the rate.
        """
        request.state.key = None
        request.state.scopes = frozenset(SCOPES)
        if self._keys is None:
            _check_origin(request)
            return
        key = self._authenticate(request, secret)
        request.state.key, request.state.scopes = key.id, frozenset(key.scopes)
        if not self._limiter.hit(self._rate, "key", key.id):
            raise self._too_many(self._rate, "key", key.id)
        if scope not in key.scopes:
            raise HttpError(403, f"this key lacks the scope {scope}")

    def check_address(self, request: Request) -> None:
        """Refuse an address that has sent many wrong keys.

        Raises:
            HttpError: 429.
        """
        if not self._limiter.test(_FAILURES, "failures", _address(request)):
            raise self._too_many(_FAILURES, "failures", _address(request))

    def _authenticate(self, request: Request, secret: str) -> ApiKey:
        assert self._keys is not None
        self.check_address(request)
        key = self._keys.find(secret)
        if key is None:
            if secret:
                self._limiter.hit(_FAILURES, "failures", _address(request))
            raise HttpError(
                401,
                "send `Authorization: Bearer KEY` with a key of `faceprint serve keys create`",
                {"WWW-Authenticate": "Bearer"},
            )
        return key

    def _too_many(self, rate: RateLimitItem, *names: str) -> HttpError:
        reset = self._limiter.get_window_stats(rate, *names).reset_time
        wait = max(1, round(reset - time.time()))
        return HttpError(429, f"more than {rate}", {"Retry-After": str(wait)})


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _check_origin(request: Request) -> None:
    """Without keys, answer programs and pages of this machine, not pages from elsewhere.

    A browser lets any page send a form to this address, and any name can be made to lead here.

    Raises:
        HttpError: 403 for another `Host` or `Origin` than loopback.
    """
    for name in ("host", "origin"):
        value = request.headers.get(name)
        if value is not None and urlsplit(f"//{value.rpartition('//')[2]}").hostname not in _LOCAL:
            raise HttpError(403, f"without API keys, {name.title()} must be this machine")


@dataclass(slots=True)
class Admission:
    """How many uploads may be held at once: bounds the server's memory.

    Attributes:
        requests: that may be in the server.
        total_bytes: of their bodies together; a body without a length counts as the largest.
        body_bytes: of one body.
        seconds: in which a body must arrive.
    """

    requests: int
    total_bytes: int
    body_bytes: int
    seconds: float
    _held: int = 0
    _count: int = 0

    def enter(self, request: Request) -> int:
        """Take a place for a request and answer how many bytes it holds; `leave` gives it back.

        Raises:
            HttpError: 413 for a body that is too large, 429 where there is no place.
        """
        declared = request.headers.get("content-length", "")
        if declared and not (declared.isdecimal() and len(declared) < 16):
            raise HttpError(400, "Content-Length is not a number")
        size = int(declared) if declared else self.body_bytes
        if size > self.body_bytes:
            raise self._too_large()
        if self._count >= self.requests or self._held + size > max(
            self.total_bytes, self.body_bytes
        ):
            raise HttpError(429, "the server is busy", {"Retry-After": "1", "Connection": "close"})
        self._count += 1
        self._held += size
        return size

    @property
    def count(self) -> int:
        """Uploads in the server."""
        return self._count

    def leave(self, size: int) -> None:
        """Give the place of a request back."""
        self._count -= 1
        self._held -= size

    async def read(self, request: Request) -> bytes:
        """The whole body.

        Raises:
            HttpError: 413 for a body that turns out too large, 408 for one that takes too long.
        """
        body = bytearray()
        try:
            async with asyncio.timeout(self.seconds):
                async for part in request.stream():
                    body += part
                    if len(body) > self.body_bytes:
                        raise self._too_large()
        except TimeoutError:
            raise HttpError(
                408, f"the body did not arrive in {self.seconds:g} s", {"Connection": "close"}
            ) from None
        except ClientDisconnect:
            raise HttpError(408, "the client went away") from None
        return bytes(body)

    def _too_large(self) -> HttpError:
        words = f"a request may have {self.body_bytes:,} bytes"
        return HttpError(413, words, {"Connection": "close"})


Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class GuardedRoute(APIRoute):
    """A route that checks the key, takes a place, and reads the body within limits, in that order.

    Raises:
        AssertionError: when it is made without `needs(scope)`.
    """

    key_in_body = False
    """Whether the key is a field of the form, so that the body is read before it is checked."""

    async def secret(self, request: Request) -> str:
        """The key that came with the request; empty where none did."""
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        return secret.strip() if kind.lower() == "bearer" else ""

    async def authorize(self, request: Request, scope: Scope) -> None:
        """Let the request pass, or raise HttpError."""
        request.app.state.access.check(request, scope, await self.secret(request))

    def get_route_handler(self) -> Handler:
        """The handler with the checks before it."""
        handler = super().get_route_handler()
        scope = (self.openapi_extra or {}).get(SCOPE_FIELD)
        assert scope in SCOPES, f"{self.path} does not say which scope it needs"
        uploads = (self.methods or set()) & {"POST", "PUT", "PATCH"}

        async def guarded(request: Request) -> Response:
            if self.key_in_body:
                request.app.state.access.check_address(request)
            else:
                await self.authorize(request, scope)
            admission: Admission = request.app.state.admission
            if not uploads:
                return await handler(request)
            size = admission.enter(request)
            try:
                whole = _with_body(request, await admission.read(request))
                if self.key_in_body:
                    await self.authorize(whole, scope)
                return await _unless_gone(request, handler(whole))
            finally:
                admission.leave(size)

        return guarded


def _with_body(request: Request, body: bytes) -> Request:
    """The same request, whose body has been read."""
    parts = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Any:
        return next(parts, None) or await request.receive()

    return Request(request.scope, receive)


async def _unless_gone(request: Request, answer: Coroutine[Any, Any, Response]) -> Response:
    """The answer; cancelled when the client goes away."""
    working = asyncio.ensure_future(answer)
    watching = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            working.cancel()
            raise HttpError(408, "the client went away")
        return working.result()
    finally:
        for task in (working, watching):
            task.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
