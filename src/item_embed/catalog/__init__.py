"""From a feed to a checked catalogue on disk: reading, checking, images, storing, splitting, drawing."""
