"""Pre-training: batches, the optimiser, the loop, checkpoints."""
