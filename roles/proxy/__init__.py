"""On request: an nginx in front of a replica's API, which passes /v1/* and /health and nothing else."""
