"""What all tests share."""

import gc
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.servers import Server
    from tests.stores import Store

# Side by side each process has one thread, or torch would start as many in each as there are cores.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

# Machines are shared and busy: a test that takes long has not failed.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# Next to nothing of what is imported is ever garbage, and looking for it takes a third of the time of importing. Nor do
# tests leave much: looked for as seldom as this it stays small, and a tenth of their time is saved.
gc.disable()
_YOUNG = 50_000  # objects, where Python looks at every 700


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(_YOUNG)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _unsynced() -> Iterator[None]:
    """What thousands of tests write need not survive a power cut, and the disk is slow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr("item_embed.search.database.SYNCHRONOUS", "OFF")
        yield


@pytest.fixture(scope="session")
def server() -> "Iterator[Server]":
    """A PostgreSQL server, started when the first test asks for it."""
    from tests.servers import postgres

    with postgres() as server:
        yield server


@pytest.fixture(scope="module")
def s3() -> "Iterator[Store]":
    """An S3 server, which fsspec asks as long as the module's tests run."""
    from tests.stores import Store

    with Store().running() as store:
        yield store


@pytest.fixture
def bucket(s3: "Store") -> "Iterator[str]":
    """The URL of an empty bucket; nothing has been asked of its server."""
    name = f"bucket-{uuid4().hex[:8]}"
    with s3.undisturbed():
        s3.make(name)
        yield f"s3://{name}"
