"""The drawn marketplace: products of known attributes, photographed and described by several sellers."""
