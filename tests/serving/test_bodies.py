import asyncio
from collections.abc import Iterable

import pytest
from starlette.datastructures import Headers
from starlette.types import Message

from item_embed.serving.bodies import ClientGoneError, Room, read_whole, replayed
from item_embed.serving.limits import Limits, RefusedError

LIMITS = Limits(body_bytes=10, body_seconds=0.05)


class Sender:
    """Sends messages, then hangs."""

    def __init__(self, messages: Iterable[Message]) -> None:
        self.left = list(messages)

    async def __call__(self) -> Message:
        if not self.left:
            await asyncio.sleep(10)
        return self.left.pop(0)


def parts(*bodies: bytes, more: bool = False) -> Sender:
    last = len(bodies) - 1
    return Sender(
        {"type": "http.request", "body": body, "more_body": more or place < last} for place, body in enumerate(bodies)
    )


def read(sender: Sender, **headers: str) -> bytes:
    taken: list[int] = []
    return asyncio.run(read_whole(Headers(headers), sender, LIMITS, taken.append))


def refused(sender: Sender, **headers: str) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        read(sender, **headers)
    return caught.value


def test_a_body_comes_in_parts() -> None:
    assert read(parts(b"01234", b"", b"56789")) == b"0123456789"
    assert read(Sender([{"type": "http.request"}])) == b""


def test_a_longer_one_is_read_and_thrown_away_so_that_its_sender_hears_why() -> None:
    sender = parts(b"0" * 6, b"0" * 6, b"0" * 80)
    assert refused(sender).status == 413
    assert not sender.left


def test_a_much_longer_one_is_not_read_to_its_end() -> None:
    sender = parts(b"0" * 60, b"0" * 60, b"0" * 60)
    refusal = refused(sender)
    assert (refusal.status, refusal.headers) == (413, {"Connection": "close"})
    assert len(sender.left) == 1


@pytest.mark.parametrize("headers", [{"content-length": "11", "expect": "100-continue"}, {"content-length": "101"}])
def test_one_that_says_that_it_is_longer_is_not_read(headers: dict[str, str]) -> None:
    sender = parts(b"0")
    assert refused(sender, **headers).status == 413
    assert sender.left


@pytest.mark.parametrize("length", ["-1", "1.5", "ten", "\u00b2", "9" * 5000])
def test_a_length_is_a_number(length: str) -> None:
    assert refused(parts(b""), **{"content-length": length}).status == 400


def test_a_client_that_hangs_is_told_so() -> None:
    refusal = refused(parts(b"01", more=True))
    assert refusal.status == 408
    assert "did not arrive within 0.05 seconds" in str(refusal)


def test_a_client_that_goes_needs_no_answer() -> None:
    with pytest.raises(ClientGoneError):
        read(Sender([{"type": "http.request", "body": b"1", "more_body": True}, {"type": "http.disconnect"}]))


def test_all_bodies_together_have_a_room() -> None:
    room = Room(15)

    def refusal() -> int:
        with room.held() as take, pytest.raises(RefusedError, match="no room for more bodies") as caught:
            asyncio.run(read_whole(Headers(), parts(b"0123", b"4567"), LIMITS, take))
        assert caught.value.headers["Retry-After"]
        return caught.value.status

    with room.held() as take:
        assert asyncio.run(read_whole(Headers(), parts(b"01234", b"567"), LIMITS, take)) == b"01234567"
        assert [refusal(), refusal()] == [503, 503]  # what the first had taken is free again
    with room.held() as take:
        take(15)


def test_what_was_read_once_is_given_again() -> None:
    async def twice() -> list[Message]:
        receive = replayed(b"body", Sender([{"type": "http.disconnect"}]))
        return [await receive(), await receive()]

    first, second = asyncio.run(twice())
    assert (first["body"], first["more_body"], second["type"]) == (b"body", False, "http.disconnect")
