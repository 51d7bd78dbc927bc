"""What can be wrong with a host or its network."""
