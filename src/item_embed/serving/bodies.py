"""Bodies: read whole under limits, then as JSON or as a form into what a request may hold."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from item_embed.serving.limits import MEGABYTE, Limits, RefusedError
from item_embed.serving.schemas import Body

Given = TypeVar("Given", bound=Body)

JSON, FORM = "application/json", "multipart/form-data"
_CLOSE = {"Connection": "close"}  # what is left of the body is not read
_MOST_FIELDS = 16
_MOST_DIGITS = 20
_MOST_TOLD = 3  # of many mistakes
_PATIENCE = 10  # times the longest body that is read, and thrown away, so that its sender hears why


class ClientGoneError(Exception):
    """Nobody is there to be answered."""


class Room:
    """For the bodies of all requests that are under way.

    Args:
        most: how many bytes there may be at once.

    Examples:
        >>> with Room(10).held() as take:
        ...     take(7)
    """

    def __init__(self, most: int) -> None:
        self._left = most

    @contextmanager
    def held(self) -> Iterator[Callable[[int], None]]:
        """What takes bytes, which are given back at the end; it raises RefusedError, 503, where there is no room."""
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if size > self._left:
                raise RefusedError.busy("there is no room for more bodies")
            self._left -= size
            taken += size

        try:
            yield take
        finally:
            self._left += taken


async def read_whole(headers: Headers, receive: Receive, limits: Limits, take: Callable[[int], None]) -> bytes:
    """The body of a request, not longer and not slower than allowed.

    Args:
        headers: of the request.
        receive: gives the body in parts.
        limits: of its length and time.
        take: called with the length of each part that is kept; from `Room.held`.

    Raises:
        RefusedError: 413 for a longer one, 408 for a slower one, 400 for a length that is no number; as `take`.
        ClientGoneError: when the client has gone.
    """
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit() and len(length) < _MOST_DIGITS):
        raise RefusedError(400, f"Content-Length is {length[:_MOST_DIGITS]!r}; give a number.", _CLOSE)
    longer = f"the body is longer than {limits.body_bytes / MEGABYTE:g} MB; send a smaller photo, or fewer products."
    too_long = int(length) > limits.body_bytes
    if too_long and ("expect" in headers or int(length) > _PATIENCE * limits.body_bytes):
        raise RefusedError(413, longer, _CLOSE)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                part = message.get("body", b"")
                size += len(part)
                if size > limits.body_bytes:
                    too_long = True
                    parts.clear()
                if size > _PATIENCE * limits.body_bytes:
                    break
                if not too_long:
                    take(len(part))
                    parts.append(part)
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        sentence = f"the body did not arrive within {limits.body_seconds:g} seconds; send it faster, or a smaller one."
        raise RefusedError(408, sentence, _CLOSE) from None
    if too_long:
        raise RefusedError(413, longer, _CLOSE)
    return b"".join(parts)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read once more, then what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def read_body(request: Request, kind: type[Given]) -> Given:
    """What a request sends, as JSON or as a form, whose files are bytes.

    Raises:
        RefusedError: 415 for another type of content, 400 for what is neither, 422 for what does not fit, saying what.
    """
    content = request.headers.get("content-type", "").partition(";")[0].strip().casefold()
    try:
        if content == JSON:
            return kind.model_validate_json(await request.body(), strict=True)
        if content == FORM:
            return kind.model_validate(await _form(request))
    except ValidationError as error:
        raise _refusal(error) from None
    raise RefusedError(415, f"the body is {content or 'of no named type'}; send {JSON} or {FORM}.")


async def _form(request: Request) -> dict[str, str | bytes]:
    """The fields of a form; empty ones are left out, as browsers send those that nobody has filled."""
    try:
        async with request.form(max_files=1, max_fields=_MOST_FIELDS, max_part_size=len(await request.body())) as form:
            fields = {
                name: await value.read() if isinstance(value, UploadFile) else value
                for name, value in form.multi_items()
            }
    except HTTPException as error:
        raise RefusedError(400, f"the form cannot be read ({error.detail.rstrip('.')}); send {FORM}.") from None
    return {name: value for name, value in fields.items() if value}


def _refusal(error: ValidationError) -> RefusedError:
    """What does not fit, in a sentence."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        return RefusedError(400, f"the body is no JSON ({found[0]['msg'].removeprefix('Invalid JSON: ')}).")
    told = [_mistake(cast("dict[str, Any]", one)) for one in found[:_MOST_TOLD]]
    more = f", and {len(found) - _MOST_TOLD} more" if len(found) > _MOST_TOLD else ""
    return RefusedError(422, f"{'; '.join(told)}{more}.")


def _mistake(error: dict[str, Any]) -> str:
    place = ".".join(map(str, error["loc"]))
    said = error["msg"].removeprefix("Value error, ").rstrip(".")
    if error["type"] == "extra_forbidden":
        said = "there is no such field"
    said = said[:1].lower() + said[1:]
    return f"{place}: {said}" if place else said
