"""Back to clean nodes: ours removed, orphaned engines ended when asked, foreign holders named; then proven."""
