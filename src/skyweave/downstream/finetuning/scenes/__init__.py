"""Fine-tuned models over scenes of any size."""
