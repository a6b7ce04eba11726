"""What a pretraining asks of the backbone: one file an objective."""
