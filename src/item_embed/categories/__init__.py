"""A classifier of leaf categories on vectors: learnt, calibrated, kept."""
