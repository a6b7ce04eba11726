"""Published networks that a backbone learns from."""
