"""Bundles: a trained model as a directory that can be played."""
