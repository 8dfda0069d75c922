import asyncio
import threading
from pathlib import Path

import pytest

from item_embed.explain.explanation import Seen
from item_embed.serving import service
from item_embed.serving.limits import Limits, RefusedError
from item_embed.serving.metrics import Metrics
from item_embed.serving.reading import Described, Reader
from item_embed.serving.service import Service
from tests.serving.made import RED, make_index, make_shop

PHOTO = Described(RED, None)


def test_photos_wait_in_the_queue_and_not_for_who_has_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let = threading.Event()
    decoded: list[Described] = []
    read = Reader.__call__

    def slow(self: Reader, described: Described) -> Seen:
        if described.photo:
            decoded.append(described)
            let.wait(10)
        return read(self, described)

    async def asked() -> None:
        async with Service(make_shop(make_index(tmp_path)), Limits(queue=64), Metrics()) as made:
            while not made.ready:
                await asyncio.sleep(0.01)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(full_of(made), 0.2)
            let.set()
            assert len(await made.vectors([PHOTO, Described(None, "mug"), PHOTO])) == 3  # the room is free again

    async def full_of(made: Service) -> None:
        waiting = asyncio.create_task(made.vectors([PHOTO] * 64))
        try:
            await asyncio.sleep(0.05)
            with pytest.raises(RefusedError, match="no room for 1 more") as caught:
                await made.vectors([PHOTO])
            assert caught.value.status == 503
            await asyncio.shield(waiting)
        finally:
            waiting.cancel()
            await asyncio.wait([waiting])

    monkeypatch.setattr(Reader, "__call__", slow)
    asyncio.run(asked())
    assert len(decoded) <= service._DECODED + 2
