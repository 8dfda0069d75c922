"""Files and folders of object stores and other places that fsspec reaches: named, read in part, written whole."""
