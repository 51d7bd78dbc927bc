"""Simulated accelerators of a lab node: one state file, five command line tools."""
