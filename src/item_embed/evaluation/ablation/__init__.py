"""`item ablate`: a grid of settings as pre-training runs, compared point by point over seeds."""
