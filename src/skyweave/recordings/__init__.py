"""Recordings of several platforms: their types, and readers and writers of their files."""
