"""Skyweave in the tools people already use; nothing in here is imported by the rest of the package."""
