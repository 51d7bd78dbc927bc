"""Accelerators: their tools' answers, parsed and judged."""
