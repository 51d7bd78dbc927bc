"""Weights: the checkpoint and its draft head, complete and the same on every node, downloaded once and copied between the nodes."""
