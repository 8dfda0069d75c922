"""Nearest products: exact search, the index on disk, and the pages that show what was found."""
