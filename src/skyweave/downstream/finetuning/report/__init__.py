"""The report of a fine-tuning run as one page."""
