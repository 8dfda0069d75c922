"""Where same-product queries come from, as a value that processes can hand on and runs can keep."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from item_embed.catalog.store import Catalog
from item_embed.errors import ConfigError
from item_embed.evaluation.queries import QuerySet, catalog_queries, given_queries
from item_embed.evaluation.relisting import relisted_queries, write_queries

#: Where a folder of runs keeps the relistings that all of them are asked for.
RELISTINGS = "relistings.parquet"


@dataclass(frozen=True)
class Asked:
    """One of three: a file of queries, so many simulated relistings, or the listings of a split.

    Attributes:
        file: a file of queries; see `queries.given_queries`.
        relist: how many second listings to make; see `relisting.relisted_queries`.
        split: where the listings, asked or made second listings of, come from.
        seed: of relistings.
        kept: a file that relistings are read from once `keep` has made it: a photo is rendered once, and every run of
            a folder is asked for the same one.
    """

    file: Path | None = None
    relist: int | None = None
    split: str = "test"
    seed: int = 0
    kept: Path | None = None

    def kept_in(self, out: Path) -> "Asked":
        """The same, with relistings as the runs of a folder are asked for them."""
        return replace(self, kept=out / RELISTINGS)

    def keep(self, catalog: Catalog) -> None:
        """Write the relistings where they are kept; other queries need no file.

        Raises:
            CatalogError: when there is no row to make a second listing of.
            OutputError: when the file cannot be written.
        """
        if self.kept is not None and self.file is None and self.relist is not None:
            write_queries(self.kept, self._relisted(catalog, self.relist), catalog)

    def queries(self, catalog: Catalog) -> QuerySet:
        """The queries.

        Raises:
            ConfigError, CatalogError: when the file, or the catalogue, holds none.

        Examples:
            >>> Asked(relist=500).queries(Catalog("catalog")).protocol  # doctest: +SKIP
            'relistings'
        """
        if self.file is not None:
            return given_queries(self.file, catalog)
        if self.relist is not None:
            made = self._relisted(catalog, self.relist)
            if self.kept is None or not self.kept.is_file():
                return made
            # A file of queries tells neither of which split they are nor whether there are as many as were wanted.
            return replace(given_queries(self.kept, catalog), split=made.split, remarks=made.remarks)
        return catalog_queries(catalog, self.split)

    def identity(self) -> dict[str, Any]:
        """What tells these queries from others of the same catalogue: equal for equal queries, as JSON.

        Raises:
            ConfigError: when there is no such file.
        """
        if self.file is not None:
            if not self.file.is_file():
                raise ConfigError(f"--queries {self.file} does not exist or is no file; give a Parquet file.")
            with self.file.open("rb") as file:
                return {"file": hashlib.file_digest(file, "sha256").hexdigest()}
        made = {} if self.relist is None else {"relist": self.relist, "seed": self.seed}
        return {"split": self.split, **made}

    def _relisted(self, catalog: Catalog, count: int) -> QuerySet:
        return relisted_queries(catalog, count, split=self.split, seed=self.seed)
