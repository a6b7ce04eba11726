"""Labelled data: the types, readers of files with labels, and splits that do not leak."""
