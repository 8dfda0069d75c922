"""Listings of one product: neighbours of every listing, a threshold that is chosen, clusters that do not chain."""
