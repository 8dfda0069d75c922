import asyncio
import threading
from collections.abc import Sequence

import pytest

from item_embed.serving.batching import Batcher
from item_embed.serving.limits import RefusedError


class Work:
    """Doubles numbers, when it is let; fails on 13."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.begun = threading.Event()
        self.batches: list[list[int]] = []

    def __call__(self, batch: list[int]) -> Sequence[int | Exception]:
        self.batches.append(batch)
        self.begun.set()
        assert self.let.wait(10)
        if 13 in batch:
            raise ValueError("13")
        return [KeyError("7") if number == 7 else 2 * number for number in batch]


async def begun(work: Work) -> None:
    """The first batch is being worked at, so that what is asked for from now on waits."""
    await asyncio.to_thread(work.begun.wait, 10)


def test_what_waits_together_is_worked_at_together() -> None:
    work = Work()

    async def ask() -> list[int]:
        async with Batcher(work, name="test", most=3, wait=0) as batcher:
            first = asyncio.create_task(batcher.one(0))
            await begun(work)
            others = [asyncio.create_task(batcher.one(number)) for number in range(1, 6)]
            await asyncio.sleep(0)
            assert len(batcher) == 5
            work.let.set()
            return list(await asyncio.gather(first, *others))

    assert asyncio.run(ask()) == [0, 2, 4, 6, 8, 10]
    assert work.batches == [[0], [1, 2, 3], [4, 5]]


def test_it_waits_a_little_for_more() -> None:
    work = Work()
    work.let.set()

    async def ask() -> None:
        async with Batcher(work, name="test", most=4, wait=5) as batcher:
            await asyncio.gather(*(batcher.one(number) for number in range(4)))

    asyncio.run(ask())
    assert work.batches == [[0, 1, 2, 3]]


def test_several_of_one_request_keep_their_order_or_are_refused_together() -> None:
    work = Work()

    async def ask() -> list[int]:
        async with Batcher(work, name="the test", room=4, wait=0) as batcher:
            first = asyncio.create_task(batcher.one(0))
            await begun(work)
            waiting = asyncio.create_task(batcher.all([3, 2, 1]))
            await asyncio.sleep(0)
            with pytest.raises(RefusedError, match="the test has no room for 2 more; try again") as refused:
                await batcher.all([4, 5])
            assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})
            assert len(batcher) == 3
            work.let.set()
            return [await first, *await waiting]

    assert asyncio.run(ask()) == [0, 6, 4, 2]


def test_whoever_gives_up_leaves_the_queue() -> None:
    work = Work()

    async def ask() -> None:
        async with Batcher(work, name="test", room=4, wait=0) as batcher:
            first = asyncio.create_task(batcher.one(0))
            await begun(work)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await batcher.all([1, 2, 3])
            assert len(batcher) == 0
            last = asyncio.create_task(batcher.one(4))
            await asyncio.sleep(0)
            first.cancel()  # while it is worked at
            work.let.set()
            assert await last == 8
            with pytest.raises(asyncio.CancelledError):
                await first

    asyncio.run(ask())
    assert work.batches == [[0], [4]]


def test_one_that_fails_does_not_fail_the_others() -> None:
    work = Work()
    work.let.set()

    async def ask() -> list[int | BaseException]:
        async with Batcher(work, name="test", wait=0.05) as batcher:
            asked = (batcher.one(number) for number in (1, 13, 7, 2))
            answers = await asyncio.gather(*asked, return_exceptions=True)
            with pytest.raises(ValueError, match="13"):
                await batcher.all([5, 13, 13])
            return answers

    first, second, third, fourth = asyncio.run(ask())
    assert (first, fourth) == (2, 4)
    assert isinstance(second, ValueError)
    assert isinstance(third, KeyError)


def test_when_it_stops_what_waits_is_answered_and_what_comes_is_refused() -> None:
    work = Work()

    async def ask() -> None:
        batcher = Batcher(work, name="test", most=1, wait=5)
        with pytest.raises(RefusedError, match="stopping"):
            await batcher.one(0)
        async with batcher:
            asked = [asyncio.create_task(batcher.one(number)) for number in (1, 2)]
            await begun(work)
            work.let.set()
        with pytest.raises(RefusedError, match="the service is stopping; try again"):
            await batcher.one(3)
        assert await asyncio.gather(*asked) == [2, 4]

    asyncio.run(ask())
