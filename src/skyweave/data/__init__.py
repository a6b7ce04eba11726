"""Imagery to tensors: rasters, datasets over folders and shards, views, and batches that mix sensors."""
