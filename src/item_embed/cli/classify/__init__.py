"""`item classify`: leaf categories, learnt from labels and given to other rows."""
