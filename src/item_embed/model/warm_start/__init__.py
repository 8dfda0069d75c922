"""Beginning with weights of BERT or ViT: their checkpoints read, made ours, and put into a model."""
