"""What went wrong, where, and what to do: all ranks' logs gathered, known causes found in them, the nodes compared."""
