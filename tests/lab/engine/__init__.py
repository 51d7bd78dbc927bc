"""The lab's engine: a real vLLM (CPU build) as a container image, and checkpoints that it can serve."""
