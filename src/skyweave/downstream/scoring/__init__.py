"""Scores from predictions, and their intervals by resampling: the same for probing, fine-tuning and benchmarks."""
