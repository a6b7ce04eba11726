"""The small dataset of `fabricated_dataset`."""

from fabricated_dataset import small, small_cache, small_root, small_yaml

__all__ = ["small", "small_cache", "small_root", "small_yaml"]
