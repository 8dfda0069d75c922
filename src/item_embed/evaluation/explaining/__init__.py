"""`item explain`: the page."""
