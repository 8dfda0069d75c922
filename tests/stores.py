"""An S3 server of this machine for the time of the tests, which counts what is asked of it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from time import sleep
from typing import Any

import fsspec
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

_SETTINGS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
_DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


class _Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *arguments: Any) -> None:
        """Nothing."""


class Store:
    """A running server.

    Attributes:
        requests: all since the list was last cleared, as "GET /bucket/name".
        delay: seconds that each request waits, as for a server that is far away.
        refuses: asked of each request; those of which it says True are answered 403, as where rights are missing.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.delay = 0.0
        self.refuses: Callable[[str], bool] = lambda request: False
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server: BaseWSGIServer = make_server("127.0.0.1", 0, self._answer, True, request_handler=_Silent)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        query = f"?{environ['QUERY_STRING']}" if environ["QUERY_STRING"] else ""
        request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}{query}"
        self.requests.append(request)
        sleep(self.delay)
        if self.refuses(request):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            told = b"" if request.startswith("HEAD") else _DENIED
            start_response("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(told)))])
            return [told]
        return self._app(environ, start_response)

    @contextmanager
    def running(self) -> Iterator["Store"]:
        """Serve, and have fsspec ask here and nowhere else."""
        thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        before = dict(os.environ)
        os.environ.update(_SETTINGS | {"AWS_ENDPOINT_URL": self.url})
        try:
            with forgotten():
                yield self
        finally:
            os.environ.clear()
            os.environ.update(before)
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def make(self, bucket: str) -> None:
        """Make a bucket, unseen."""
        fsspec.filesystem("s3").mkdir(bucket)
        self.requests.clear()

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Afterwards it answers at once and refuses nothing."""
        try:
            yield
        finally:
            self.delay, self.refuses = 0.0, lambda request: False


@contextmanager
def forgotten() -> Iterator[None]:
    """S3 as if nobody had asked it yet, so that settings are read anew; what was made here is forgotten too."""
    kind = fsspec.get_filesystem_class("s3")
    kind.clear_instance_cache()
    try:
        yield
    finally:
        kind.clear_instance_cache()
