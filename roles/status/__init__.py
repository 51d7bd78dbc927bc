"""One screen: what every node and rank does now."""
