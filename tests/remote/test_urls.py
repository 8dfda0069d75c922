from pathlib import Path

import pytest

from item_embed.errors import RemoteError
from item_embed.remote.urls import refuse_url, url_in


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("s3://shop/run", "s3://shop/run"),
        (Path("s3://shop/run"), "s3://shop/run"),
        ("https://me:secret@shop.example/run?key=1", "https://shop.example/run"),
        ("run", None),
        ("/data/s3:/run", None),
        ("c:/run", None),
        ("my:run", None),
    ],
)
def test_a_url_is_known_even_as_a_path(path: str | Path, url: str | None) -> None:
    assert url_in(path) == url


def test_what_is_read_from_a_local_disk_refuses_urls() -> None:
    refuse_url("run/model", "a model")
    with pytest.raises(RemoteError, match=r"^s3://shop/run is a URL, and a model is read from a local disk only; copy"):
        refuse_url(Path("s3://shop/run"), "a model")
