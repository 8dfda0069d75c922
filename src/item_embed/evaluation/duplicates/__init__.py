"""How good clusters of listings are, and a page about them."""
