"""An index in PostgreSQL opened, or loaded by COPY in parts, each kept when it is written: what was killed goes on."""

from contextlib import closing

from item_embed.files import OutputError
from item_embed.progress import OnProgress
from item_embed.search.address import read_address
from item_embed.search.feed import CatalogFeed
from item_embed.search.items import Changes
from item_embed.search.postgres.database import Database
from item_embed.search.postgres.nearest import PostgresNeighbours
from item_embed.search.postgres.store import PostgresStore

_TIMEOUT = 30.0  # seconds that a load waits for another process's lock


def open_schema(url: str, timeout: float) -> tuple[str, PostgresStore, PostgresNeighbours]:
    """Open the index at an address; first, the address without its password.

    Raises:
        OutputError: when the database cannot be reached, or refuses.
        VectorError: when there is no index, or it is half loaded or of another schema version.
    """
    store = PostgresStore(Database(read_address(url), timeout))
    try:
        with store.reading():
            store.check()
            nearest = PostgresNeighbours(store, store.manifest().dimension)
    except BaseException:
        store.close()
        raise
    return store.name, store, nearest


def build_schema(feed: CatalogFeed, url: str, on_progress: OnProgress) -> None:
    """Load an index, or go on with a load that ended early: what is there already as it should be is not written.

    Raises:
        OutputError: when there is an index already, another process loads it, or the database refuses.
    """
    with closing(PostgresStore(Database(read_address(url), _TIMEOUT))) as store:
        if not store.database.alone():
            raise OutputError(f"{store.name} is being written by another process; wait for it, or stop it.")
        store.begin(feed.manifest)
        changes = Changes()
        for rows in feed.parts():
            with store.writing():
                changes += feed.put(store, rows)
            on_progress(changes.added + changes.changed + changes.unchanged, len(feed))
        with store.writing():
            store.remove(feed.lacking(store.ids()))
        PostgresNeighbours(store, feed.manifest.dimension).fold(on_progress)
        with store.writing():
            store.finish()
