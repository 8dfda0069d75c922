import pytest

from item_embed.errors import ConfigError
from item_embed.serving.limits import Limits


@pytest.mark.parametrize(
    ("limits", "option"),
    [
        ({"pixels": 0}, "--max-megapixels"),
        ({"pixels": 64_000_001}, "--max-megapixels must be above 0 and at most 64"),
        ({"queue": 63}, "--queue must be at least 64"),
        ({"body_bytes": 0}, "--max-megabytes"),
        ({"seconds": 0}, "--timeout"),
        ({"seconds": float("nan")}, "--timeout"),
    ],
)
def test_limits_are_sensible(limits: dict[str, int], option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        Limits(**limits)
