"""From a trained model to vectors: one product at a time, a whole catalogue, and the file that keeps them."""
