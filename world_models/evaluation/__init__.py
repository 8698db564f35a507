"""Measuring a bundle against the real game."""
