from collections import Counter
from collections.abc import Sequence

import pytest

from item_embed.catalog.report import gathering


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small sample, and no second for loading the identifier of languages: its own tests use it."""
    monkeypatch.setattr(gathering, "SAMPLE", 60)
    monkeypatch.setattr(gathering, "languages", _all_english)


def _all_english(titles: Sequence[str]) -> Counter[str]:
    return Counter({"English": len(titles)})
