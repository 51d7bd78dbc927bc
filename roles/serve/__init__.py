"""The engine on its nodes: units, ordered start, logs followed until it serves."""
