"""The report of a prepared catalogue: what was mended and set aside, what it holds, what to mind before training."""
