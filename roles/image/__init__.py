"""The engine's image: on every node, the same one, and one whose engine takes the plan's command."""
