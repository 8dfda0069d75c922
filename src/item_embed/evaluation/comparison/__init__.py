"""`item compare`: the paper's tables on the user's catalogue, every method on the same rows, sizes and questions."""
