"""Photos in object stores and other file systems that fsspec knows, below the folders that were allowed."""

from typing import Any

from item_embed.catalog.photos.reasons import (
    EMPTY,
    NO_ACCESS,
    NO_PACKAGE,
    NOT_FOUND,
    NOT_WEB,
    STORE_FAILED,
    TOO_LARGE,
    DownloadError,
)
from item_embed.catalog.photos.urls import StoredUrl


def read_stored(url: StoredUrl, largest_bytes: int) -> bytes:
    """Read a whole file, with the environment's credentials. How long it may take is the store's own setting.

    Raises:
        DownloadError: when it cannot be read, or is larger than allowed.
    """
    try:
        files, path = _opened(url.text)
        # One byte more than allowed tells a file that is too large, and no more of it is ever read.
        data: bytes = files.cat_file(path, start=0, end=largest_bytes + 1)
    except DownloadError:
        raise
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise DownloadError(NOT_FOUND) from None
    except PermissionError:
        raise DownloadError(NO_ACCESS) from None
    except OSError:
        raise DownloadError(STORE_FAILED, again=True, host_failed=True) from None
    except Exception:  # each store has errors of its own: no credentials, no such bucket
        raise DownloadError(STORE_FAILED, host_failed=True) from None
    if len(data) > largest_bytes:
        raise DownloadError(TOO_LARGE)
    if not data:
        raise DownloadError(EMPTY)
    return data


def _opened(text: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs  # only who has such addresses waits for it

    try:
        files, path = url_to_fs(text)
    except ImportError:
        raise DownloadError(NO_PACKAGE, host_refused=True) from None
    except ValueError:  # no such kind of file system
        raise DownloadError(NOT_WEB, host_refused=True) from None
    return files, path
