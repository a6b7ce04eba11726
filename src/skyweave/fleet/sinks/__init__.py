"""Where fused scenes go: messages, files, recordings, the dashboard, metrics."""
