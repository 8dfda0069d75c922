"""`item serve`: search, embedding, same-product decisions, categories and review over HTTP, with a page."""
