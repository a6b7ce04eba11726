"""Platforms that share what they see: a codec for features, what to send, how to fuse, and what all of it costs."""
