"""An index in a schema of a PostgreSQL database with pgvector; psycopg is imported here and nowhere else."""

from typing import TYPE_CHECKING

from item_embed.errors import ItemError, installing
from item_embed.progress import OnProgress
from item_embed.search.feed import CatalogFeed

if TYPE_CHECKING:
    from item_embed.search.postgres.nearest import PostgresNeighbours
    from item_embed.search.postgres.store import PostgresStore


def open_address(url: str, timeout: float) -> "tuple[str, PostgresStore, PostgresNeighbours]":
    """Open the index at an address; first, the address without its password.

    Raises:
        ItemError: when the libraries are missing, or the database cannot be reached.
        VectorError: when there is no index, or it is half loaded or of another schema version.
    """
    _check_libraries()
    from item_embed.search.postgres.loading import open_schema

    return open_schema(url, timeout)


def build_address(feed: CatalogFeed, url: str, on_progress: OnProgress) -> None:
    """Load an index, or go on with the loading of one.

    Raises:
        ItemError: when the libraries are missing, or the database cannot be reached.
        OutputError: when there is an index already, or another process loads it.
    """
    _check_libraries()
    from item_embed.search.postgres.loading import build_schema

    build_schema(feed, url, on_progress)


def _check_libraries() -> None:
    try:
        import pgvector  # noqa: F401
        import psycopg  # noqa: F401
    except ImportError:
        raise ItemError(f"an index in PostgreSQL needs psycopg and pgvector; {installing('postgres')}.") from None
