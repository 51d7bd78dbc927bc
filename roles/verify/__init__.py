"""Proof: tokens from every rank, through the real API."""
