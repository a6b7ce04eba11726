"""What every training shares: the trainer, its checkpoints, optimiser and sampler."""
