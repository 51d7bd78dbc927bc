"""The lab: real nodes, real Docker, a real registry on one machine. `python -m tests.lab --help`."""
