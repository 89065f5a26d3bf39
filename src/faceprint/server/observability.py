"""Metrics for Prometheus, and one log line per request that holds no name, image, vector or key."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from faceprint.server.problems import HttpError, problem_response

__all__ = ["Metrics", "Observed"]

_LOG = logging.getLogger("faceprint.server")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_HEADERS = (
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'",
    ),
    ("permissions-policy", "camera=(self), microphone=(), geolocation=()"),
    ("cache-control", "no-store"),
)


class Metrics:
    """What the service counts; one registry per application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "faceprint_requests",
            "Requests answered",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "faceprint_request_seconds",
            "Seconds from the request to its answer",
            ("route",),
            registry=self.registry,
        )
        self._stages = Histogram(
            "faceprint_stage_seconds",
            "Seconds that photographs waited (queue), a batch was analyzed, the gallery answered",
            ("stage",),
            registry=self.registry,
        )
        self._batches = Histogram(
            "faceprint_batch_photographs",
            "Photographs that were analyzed together",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self.registry,
        )
        self._refused = Counter(
            "faceprint_refused", "Requests refused", ("status",), registry=self.registry
        )
        self.depth = Gauge(
            "faceprint_queue_photographs",
            "Photographs that wait or are being analyzed",
            registry=self.registry,
        )
        self.uploads = Gauge(
            "faceprint_uploads",
            "Requests with a body that are being received or answered",
            registry=self.registry,
        )

    def observe(self, stage: str, value: float) -> None:
        """Count the seconds of a stage, or the photographs of a `batch`."""
        if stage == "batch":
            self._batches.observe(value)
        else:
            self._stages.labels(stage).observe(value)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        # A client may invent methods, and each would be kept for ever.
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if status in (401, 403, 408, 413, 429):
            self._refused.labels(str(status)).inc()


class Observed:
    """Middleware around everything: security headers, metrics, the log, and the last catch.

    Args:
        app: the application.
        metrics: where answers are counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        number = uuid.uuid4().hex
        scope.setdefault("state", {})

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = {name for name, _ in message.get("headers", ())}
                message["headers"] = [
                    *message.get("headers", ()),
                    *(
                        (name.encode(), value.encode())
                        for name, value in (*_HEADERS, ("x-request-id", number))
                        if name.encode() not in given
                    ),
                ]
            await send(message)

        async def refuse(error: Exception) -> None:
            await problem_response(Request(scope), error)(scope, receive, observed)

        try:
            await self._app(scope, receive, observed)
        except asyncio.CancelledError:
            if status:
                raise
            await refuse(HttpError(503, "the service stopped before it could answer"))
        except Exception as error:
            if status:
                raise
            await refuse(error)
        finally:
            state: dict[str, Any] = scope["state"]
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.answered(scope["method"], route, status, seconds)
            _log(number, scope["method"], route, status, seconds, state)


def _log(
    number: str, method: str, route: str, status: int, seconds: float, state: dict[str, Any]
) -> None:
    line = {
        "request": number,
        "method": method,
        "route": route,
        "status": status,
        "ms": round(1000 * seconds, 1),
        "key": state.get("key"),
    }
    error = state.get("error")
    if error is not None:
        # The class says what went wrong; the message of a foreign error may hold anything.
        line["error"] = type(error).__name__
    _LOG.log(
        logging.ERROR if status >= 500 else logging.INFO, "%s", json.dumps(line), exc_info=None
    )
