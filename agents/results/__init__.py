"""Figures with their source: the results of the released bundles, and the tables made of them."""
