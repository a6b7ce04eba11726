"""Readers of stored labels: folders, file names, tables, masks and boxes."""
