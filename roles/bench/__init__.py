"""Measurement: the page's own benchmarks, on what runs now."""
