"""The queue that all requests share: bounded, batched, in nobody's way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from faceprint.server.work_queue import WorkQueue, WorkQueueFullError
from faceprint.types import AnalyzedImage


class Gate:
    """Stands in for the models: answers once it is opened."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.begun = threading.Semaphore(0)
        self.batches: list[list[bytes]] = []

    def __call__(
        self, images: Sequence[bytes], *, embed: bool, keep_crops: bool
    ) -> list[AnalyzedImage]:
        self.batches.append(list(images))
        self.begun.release()
        assert self.open.wait(60)
        return [AnalyzedImage(image.decode(), []) for image in images]


async def begun(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.begun.acquire, timeout=60)


async def settled(queue: WorkQueue, depth: int) -> None:
    while queue.depth != depth:
        await asyncio.sleep(0)


def test_everybody_gets_their_own_answer() -> None:
    async def main() -> None:
        gate = Gate()
        gate.open.set()
        queue = WorkQueue(gate, workers=3, places=100)
        answers = await asyncio.gather(*(queue.analyze(b"%d" % n) for n in range(50)))
        assert [answer.source for answer in answers] == [str(n) for n in range(50)]
        queue.close()

    asyncio.run(main())


def test_what_waits_is_taken_together_up_to_the_batch_size() -> None:
    async def main() -> None:
        gate = Gate()
        queue = WorkQueue(gate, workers=1, places=100, batch_size=4)
        first = asyncio.ensure_future(queue.analyze(b"first"))
        await begun(gate)
        rest = [asyncio.ensure_future(queue.analyze(b"%d" % n)) for n in range(6)]
        await settled(queue, 7)
        gate.open.set()
        await asyncio.gather(first, *rest)
        assert gate.batches == [[b"first"], [b"0", b"1", b"2", b"3"], [b"4", b"5"]]
        queue.close()

    asyncio.run(main())


def test_the_one_idle_thread_takes_all_that_waits() -> None:
    async def main() -> None:
        gates: list[Gate] = []
        begun_one = threading.Semaphore(0)

        def analyze(
            images: Sequence[bytes], *, embed: bool, keep_crops: bool
        ) -> list[AnalyzedImage]:
            gates.append(gate := Gate())
            begun_one.release()
            return gate(images, embed=embed, keep_crops=keep_crops)

        async def another() -> None:
            assert await asyncio.to_thread(begun_one.acquire, timeout=60)

        queue = WorkQueue(analyze, workers=2, places=100, batch_size=4)
        answers = []
        for image in (b"a", b"b"):
            answers.append(asyncio.ensure_future(queue.analyze(image)))
            await another()
        answers += [asyncio.ensure_future(queue.analyze(b"%d" % n)) for n in range(4)]
        await settled(queue, 6)
        gates[1].open.set()
        await another()
        gates[0].open.set()
        gates[2].open.set()
        await asyncio.gather(*answers)
        assert gates[2].batches == [[b"0", b"1", b"2", b"3"]]
        queue.close()

    asyncio.run(main())


def test_a_full_queue_refuses_at_once_and_has_a_place_again_later() -> None:
    async def main() -> None:
        gate = Gate()
        queue = WorkQueue(gate, workers=1, places=2)
        taken = [asyncio.ensure_future(queue.analyze(b"%d" % n)) for n in range(2)]
        await settled(queue, 2)
        with pytest.raises(WorkQueueFullError):
            await queue.analyze(b"too many")
        gate.open.set()
        await asyncio.gather(*taken)
        await settled(queue, 0)
        assert (await queue.analyze(b"again")).source == "again"
        queue.close()

    asyncio.run(main())


def test_a_request_that_goes_away_frees_its_place_and_is_never_begun() -> None:
    async def main() -> None:
        gate = Gate()
        queue = WorkQueue(gate, workers=1, places=2)
        first = asyncio.ensure_future(queue.analyze(b"first"))
        await begun(gate)
        gone = asyncio.ensure_future(queue.analyze(b"gone"))
        await settled(queue, 2)
        gone.cancel()
        await settled(queue, 1)
        gate.open.set()
        await first
        queue.close()
        assert gate.batches == [[b"first"]]

    asyncio.run(main())


def test_an_error_of_the_models_reaches_those_who_wait_and_nobody_else() -> None:
    async def main() -> None:
        def broken(
            images: Sequence[bytes], *, embed: bool, keep_crops: bool
        ) -> list[AnalyzedImage]:
            if b"bad" in images:
                raise RuntimeError("broken")
            return [AnalyzedImage("", []) for _ in images]

        queue = WorkQueue(broken, workers=1, places=10)
        with pytest.raises(RuntimeError, match="broken"):
            await queue.analyze(b"bad")
        assert (await queue.analyze(b"good")).faces == []
        queue.close()

    asyncio.run(main())


def test_closing_finishes_what_was_taken_and_takes_no_more() -> None:
    async def main() -> None:
        gate = Gate()
        queue = WorkQueue(gate, workers=1, places=10)
        taken = [asyncio.ensure_future(queue.analyze(b"%d" % n)) for n in range(3)]
        await settled(queue, 3)
        closing = asyncio.ensure_future(asyncio.to_thread(queue.close))
        gate.open.set()
        assert len(await asyncio.gather(*taken)) == 3
        await closing
        with pytest.raises(WorkQueueFullError):
            await queue.analyze(b"late")

    asyncio.run(main())


def test_requests_of_another_kind_are_not_mixed() -> None:
    async def main() -> None:
        gate = Gate()
        queue = WorkQueue(gate, workers=1, places=10)
        first = asyncio.ensure_future(queue.analyze(b"first"))
        await begun(gate)
        others = [
            asyncio.ensure_future(queue.analyze(b"crops", keep_crops=True)),
            asyncio.ensure_future(queue.analyze(b"plain")),
        ]
        await settled(queue, 3)
        gate.open.set()
        await asyncio.gather(first, *others)
        assert gate.batches == [[b"first"], [b"crops"], [b"plain"]]
        queue.close()

    asyncio.run(main())
