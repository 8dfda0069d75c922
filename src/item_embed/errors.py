"""The exceptions a user can meet: each message is one sentence naming what is wrong and the mend."""


class ItemError(Exception):
    """Base of every error that a user can cause; the command line prints its message and no traceback."""


class FeedError(ItemError):
    """A source feed cannot be read: no such file, no such column, nothing in it."""


class CatalogError(ItemError):
    """A catalogue folder is missing, incomplete, or of another schema version."""


class RemoteError(ItemError):
    """A URL cannot be read or written, or stands where a local path is needed."""


class ConfigError(ItemError):
    """A run configuration or an option is unknown, out of range, or contradicts another."""


class ModelError(ItemError):
    """A model folder or checkpoint is missing or unusable, or training went wrong."""


class VectorError(ItemError):
    """Vectors or an index are missing, malformed, or come from another model."""


class FilterError(ItemError):
    """A filter of a search cannot be read, or names a field that no product has ever had."""


class LostProcessError(ItemError):
    """Another of the processes that train together has ended."""


def installing(extras: str) -> str:
    """How to have what an extra brings, until there is a package to install by its name.

    Examples:
        >>> installing("serve,onnx")
        "in a checkout of item-embed, pip install '.[serve,onnx]'"
    """
    return f"in a checkout of item-embed, pip install '.[{extras}]'"
