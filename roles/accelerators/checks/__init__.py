"""What is asked of accelerators."""
