"""Where same-product queries come from, as a value that processes can hand on and runs can keep."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from item_embed.catalog.store import Catalog
from item_embed.errors import ConfigError
from item_embed.evaluation.queries import QuerySet, catalog_queries, given_queries
from item_embed.evaluation.relisting import relisted_queries


@dataclass(frozen=True)
class Asked:
    """One of three: a file of queries, so many simulated relistings, or the listings of a split.

    Attributes:
        file: a file of queries; see `queries.given_queries`.
        relist: how many second listings to make; see `relisting.relisted_queries`.
        split: where the listings, asked or made second listings of, come from.
        seed: of relistings.
    """

    file: Path | None = None
    relist: int | None = None
    split: str = "test"
    seed: int = 0

    def queries(self, catalog: Catalog) -> QuerySet:
        """The queries.

        Raises:
            ConfigError, CatalogError: when the file, or the catalogue, holds none.

        Example:
            >>> Asked(relist=500).queries(Catalog("catalog")).protocol  # doctest: +SKIP
            'relistings'
        """
        if self.file is not None:
            return given_queries(self.file, catalog)
        if self.relist is not None:
            return relisted_queries(catalog, self.relist, split=self.split, seed=self.seed)
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
