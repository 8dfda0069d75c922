"""`item classify`: leaf categories, learnt from labelled rows and given to others."""
