"""On request: a replica's nodes are closed to all but SSH, the API and each other."""
