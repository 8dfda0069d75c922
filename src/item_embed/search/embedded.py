"""An index in a folder of its own.

INDEX/index.sqlite    the truth (`database.py`), with `-wal` and `-shm` beside it while it is in use
INDEX/snapshot-N/     of a large index only: the graph that makes its search fast (`snapshot.py`), derived
"""

from contextlib import closing
from pathlib import Path

from item_embed.files import OutputError, check_output, whole_folder
from item_embed.progress import OnProgress
from item_embed.search import database
from item_embed.search.feed import CatalogFeed
from item_embed.search.nearest import NearestRows
from item_embed.search.store import Store


def open_folder(path: Path, timeout: float) -> tuple[Store, NearestRows]:
    """Open the index in a folder.

    Raises:
        VectorError: when the folder is no index, is damaged, or is of another schema version.
    """
    store = Store(path, database.connect(path, timeout), path)
    try:
        with store.reading():
            nearest = NearestRows(store, store.manifest().dimension)
            nearest.catch_up()
    except BaseException:
        store.close()
        raise
    return store, nearest


def build_folder(feed: CatalogFeed, out: Path, on_progress: OnProgress) -> None:
    """Write an index: aside first, then renamed, so that it is whole or not there.

    Raises:
        OutputError: when `out` exists or cannot be written.
    """
    check_output(out)
    with whole_folder(out) as aside, closing(Store(aside, database.create(aside, out), out)) as store:
        with store.writing():
            store.write_manifest(feed.manifest)
            feed.into(store, on_progress)
        try:
            NearestRows(store, feed.manifest.dimension).fold(on_progress)
        except OutputError as error:  # says that all products are there, and they go with the rest
            raise OutputError(
                f"{out} cannot be written ({error.__cause__}), and nothing of it was kept; free some space and build "
                "it again."
            ) from error
