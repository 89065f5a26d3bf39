"""What the outermost middleware answers when nothing else does."""

from __future__ import annotations

import asyncio
import json

from starlette.types import Message, Receive, Scope, Send

from faceprint.server.observability import Metrics, Observed


def test_a_request_that_a_stopping_service_cancels_is_told_so() -> None:
    async def requests() -> list[Message]:
        begun = asyncio.Event()

        async def never(scope: Scope, receive: Receive, send: Send) -> None:
            begun.set()
            await asyncio.Event().wait()

        async def receive() -> Message:
            raise AssertionError("nothing is read")

        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/v1/verify", "headers": []}
        task = asyncio.ensure_future(Observed(never, Metrics())(scope, receive, send))
        await begun.wait()
        task.cancel()
        await task
        return sent

    start, body = asyncio.run(requests())
    assert start["status"] == 503
    assert json.loads(body["body"])["type"] == "/problems/unavailable"
