"""Fine-tuning tasks: what is predicted, and all that depends on it."""
