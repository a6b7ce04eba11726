"""Baselines: features that need no training, for probes and for heads."""
