"""A double of the engines for tests: small, fast, honest about being one. See README.md."""
