"""Where fused scenes go: messages, files, the dashboard, metrics."""
