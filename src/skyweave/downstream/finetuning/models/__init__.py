"""A backbone with a head: the models that fine-tuning trains."""
