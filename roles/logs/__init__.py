"""The engines' logs, of all nodes, by time."""
