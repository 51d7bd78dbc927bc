"""Inventory and recipe to plan: pure functions, no connection, never pyinfra."""
