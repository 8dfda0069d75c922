"""How good a classifier of categories is, and its page."""
