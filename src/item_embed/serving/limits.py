"""What a request may cost, and how one is refused."""

from dataclasses import dataclass

from item_embed.catalog.photos.images import MOST_PIXELS
from item_embed.errors import ConfigError, ItemError

#: Of one request, whatever the service's settings are.
MOST_HITS, MOST_PRODUCTS, MOST_TITLE_CHARACTERS, MOST_FILTER_CHARACTERS = 100, 64, 1000, 4000
MEGABYTE = 1 << 20
_RETRY_AFTER = 1  # seconds: a full queue of a service that keeps up is empty again by then


class RefusedError(ItemError):
    """A request that is not answered; the message is what its sender reads.

    Args:
        status: HTTP's.
        sentence: what is wrong, and the mend.
        headers: of the response, besides those that all have.
    """

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = headers or {}

    @classmethod
    def busy(cls, what: str) -> "RefusedError":
        """Too much to do at once."""
        return cls(503, f"{what}; try again in a moment.", {"Retry-After": str(_RETRY_AFTER)})


@dataclass(frozen=True)
class Limits:
    """What requests may cost.

    Attributes:
        body_bytes: the longest body.
        pixels: of a photo, by its header, before anything is decoded.
        seconds: until a request is answered, its body read.
        body_seconds: for reading a body.
        queue: products that may wait for the encoder.
        requests: requests that may be under way.

    Raises:
        ConfigError: when a number is out of its range.
    """

    body_bytes: int = 10 * MEGABYTE
    pixels: int = MOST_PIXELS
    seconds: float = 15
    body_seconds: float = 15
    queue: int = 256
    requests: int = 512

    def __post_init__(self) -> None:
        if not 0 < self.pixels <= MOST_PIXELS:
            raise ConfigError(f"--max-megapixels must be above 0 and at most {MOST_PIXELS // 1_000_000}.")
        if self.queue < MOST_PRODUCTS:
            raise ConfigError(f"--queue must be at least {MOST_PRODUCTS}, the products of one request.")
        for option, value in (("--max-megabytes", self.body_bytes), ("--timeout", self.seconds)):
            if not value > 0:
                raise ConfigError(f"{option} must be above 0.")
