"""Videos and photographs with their logs to recordings: keyframes, poses, alignment, labels."""
