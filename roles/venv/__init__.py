"""Engines without a container: an environment made by uv."""
