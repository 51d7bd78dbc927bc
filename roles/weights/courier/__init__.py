"""The courier: runs on a node, inside the engine's image. Standard library only; it is sent as text and installed nowhere."""
