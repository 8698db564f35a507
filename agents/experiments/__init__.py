"""Experiments with agents and dreams."""
