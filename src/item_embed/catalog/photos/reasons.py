"""Why a photo was not downloaded: a closed vocabulary, so that a report over a million rows can count reasons.

Every reason reads `download: …`. `HTTP_STATUS` is followed by the number that the server sent; nothing else varies.
"""

import re

from item_embed.catalog.photos.images import PhotoError

# What the address says. Nothing is asked.
NOT_VALID = "not a valid address"
NOT_WEB = "neither http nor https"
USER_NAME = "user name or password in the address, refused"
OUTSIDE = "outside the feed's folder"
# What the host is. Nothing is sent.
NOT_PUBLIC = "private or local address, refused"
UNKNOWN_HOST = "host not found"
GIVEN_UP = "host given up after failures in a row"
# How the connection goes.
NO_CONNECTION = "no connection"
CERTIFICATE = "certificate not valid"
TOO_LONG = "took too long"
NO_ANSWER = "no valid HTTP answer"
CUT_OFF = "cut off"
# What the server answers.
HTTP_STATUS = "HTTP "
REDIRECTS = "too many redirects"
TOO_LARGE = "too large"
EMPTY = "empty answer"
HTML_PAGE = "an HTML page, no photo"
COMPRESSION = "compressed in a way that is not read"
# What an object store answers.
NOT_FOUND = "file not found"
NO_ACCESS = "access refused"
STORE_FAILED = "object store failed"
NO_PACKAGE = "the package for this kind of address is not installed"
# Ourselves.
NO_PHOTO = "not a photo that can be read"  # found out when it was decoded; it is dropped from the cache
VANISHED = "gone from the cache"
STOPPED = "stopped"
UNFORESEEN = "unforeseen error"

REASONS = (
    *(NOT_VALID, NOT_WEB, USER_NAME, OUTSIDE),
    *(NOT_PUBLIC, UNKNOWN_HOST, GIVEN_UP),
    *(NO_CONNECTION, CERTIFICATE, TOO_LONG, NO_ANSWER, CUT_OFF),
    *(REDIRECTS, TOO_LARGE, EMPTY, HTML_PAGE, COMPRESSION),
    *(NOT_FOUND, NO_ACCESS, STORE_FAILED, NO_PACKAGE),
    *(NO_PHOTO, VANISHED, STOPPED, UNFORESEEN),
)

_STATUS = re.compile(rf"download: {HTTP_STATUS}[1-9]\d\d")


class DownloadError(PhotoError):
    """A photo was not downloaded; the message is `download: ` and a reason of this file.

    Args:
        reason: one of `REASONS`, or `HTTP_STATUS` and a number.
        again: whether it may go better at another attempt.
        host_failed: whether it speaks against the host rather than the one photo.
        host_refused: whether no photo of this host will ever be asked for.
        pause: seconds that the host asked to be left alone.
    """

    def __init__(
        self,
        reason: str,
        *,
        again: bool = False,
        host_failed: bool = False,
        host_refused: bool = False,
        pause: float = 0.0,
    ) -> None:
        super().__init__(f"download: {reason}")
        self.reason = reason
        self.again = again
        self.host_failed = host_failed
        self.host_refused = host_refused
        self.pause = pause


def is_download_reason(text: str) -> bool:
    """Whether a text is a reason of this vocabulary, `download: ` included.

    Examples:
        >>> is_download_reason("download: HTTP 404")
        True
    """
    return text in {f"download: {reason}" for reason in REASONS} or bool(_STATUS.fullmatch(text))
