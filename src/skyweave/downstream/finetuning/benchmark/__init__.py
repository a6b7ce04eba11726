"""Benchmark protocols over many runs, and their tables."""
