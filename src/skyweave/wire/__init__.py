"""What platforms send each other: frames as chunks of bytes, and back."""
