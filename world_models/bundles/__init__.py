"""Bundles: a trained model as a directory that can be played. What stands here needs no torch."""

FILES = ("README.md", "trust.npz", "contexts.npz", "model.safetensors", "config.json")


class BundleError(ValueError):
    """A bundle that cannot be used; the message says what is wrong with it."""
