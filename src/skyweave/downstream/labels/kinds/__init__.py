"""Kinds of labels: what a label is, whatever file it is read from and whatever task learns it."""
