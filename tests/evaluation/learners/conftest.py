"""What all tests of learners share."""

from collections.abc import Iterator

import pytest
import torch

from item_embed.catalog.store import Catalog
from tests.tiny import tiny_catalog


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Bit for bit is promised for one machine and one number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="package")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny_catalog(tmp_path_factory.mktemp("learners") / "catalog")
