"""What all tests of learners share."""

from collections.abc import Iterator
from types import CodeType, FunctionType

import pytest
import torch

from item_embed.catalog.store import Catalog
from item_embed.evaluation.learners import clip, roberta
from item_embed.evaluation.learners.matching import nearest_size
from tests.tiny import tiny_catalog


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Bit for bit is promised for one machine and one number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="package", autouse=True)
def sizes_found_once() -> Iterator[None]:
    """Looking for a size builds a dozen models, and most tests ask for the same few."""
    found: dict[tuple[CodeType, range, int], int] = {}

    def find(make: FunctionType, sizes: range, wanted: int) -> int:
        asked = (make.__code__, sizes, wanted)
        if asked not in found:
            found[asked] = nearest_size(make, sizes, wanted)
        return found[asked]

    with pytest.MonkeyPatch.context() as patch:
        for learner in (clip, roberta):
            patch.setattr(learner, "nearest_size", find)
        yield


@pytest.fixture(scope="package")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return tiny_catalog(tmp_path_factory.mktemp("learners") / "catalog")
