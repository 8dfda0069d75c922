"""The model: configuration, processor (titles and photos to tensors), encoder, and the heads of the five tasks."""
