"""Measuring agents and bundles by playing."""
