"""The five pre-training tasks, one file each, and what they share: masking, batches, their sum."""
