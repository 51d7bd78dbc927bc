"""Docker on every node: there, running, and with the inventory's settings among its own."""
