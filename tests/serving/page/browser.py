"""Chromium without a window, and what its pages sent."""

import email
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import policy
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Playwright, expect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@contextmanager
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """The system's Chromium, or the one that `playwright install chromium` has fetched; skips where there is none."""
    own = playwright.chromium.executable_path
    program = own if Path(own).exists() else next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip("no Chromium: install the system's (apt-get install chromium), or run playwright install chromium")
    options = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium has no sandbox for root
    browser = playwright.chromium.launch(executable_path=program, args=options)
    try:
        yield browser
    finally:
        browser.close()


def loaded(image: Locator) -> bool:
    """Wait until a photo of the service is there; false where it cannot be shown."""
    expect(image).to_have_attribute("src", re.compile("^blob:"))
    return bool(image.evaluate("image => image.decode().then(() => image.naturalWidth > 0, () => false)"))


@dataclass(frozen=True)
class Sent:
    """One request as the service received it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, bytes]:
        """The fields of a multipart body."""
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        message = email.message_from_bytes(head + self.body, policy=policy.HTTP)
        fields = {}
        for part in message.iter_parts():
            value = part.get_payload(decode=True)
            assert isinstance(value, bytes)
            fields[str(part.get_param("name", header="content-disposition"))] = value
        return fields

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Recorded:
    """An app that remembers the requests it was sent."""

    app: ASGIApp
    sent: list[Sent] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode(): value.decode("latin1") for name, value in scope["headers"]}
        body = bytearray()

        async def listen() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        try:
            await self.app(scope, listen, send)
        finally:
            self.sent.append(Sent(scope["method"], scope["path"], headers, bytes(body)))

    def to(self, path: str) -> list[Sent]:
        """The requests to a path, in order."""
        return [each for each in self.sent if each.path == path]
