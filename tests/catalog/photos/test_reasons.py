import pytest

from item_embed.catalog.photos.images import PhotoError
from item_embed.catalog.photos.reasons import REASONS, DownloadError, is_download_reason


@pytest.mark.parametrize("reason", [*REASONS, "HTTP 404", "HTTP 503"])
def test_every_reason_is_in_the_vocabulary(reason: str) -> None:
    error = DownloadError(reason)
    assert isinstance(error, PhotoError)
    assert str(error) == f"download: {reason}"
    assert is_download_reason(str(error))


@pytest.mark.parametrize(
    "text", ["", "download: ", "HTTP 404", "cut off", "download: HTTP 4044", "download: something else"]
)
def test_no_other_text_is(text: str) -> None:
    assert not is_download_reason(text)
