"""Using a backbone: labelled data, probing, fine-tuning, benchmarks."""
