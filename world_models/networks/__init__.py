"""Networks on a grid of patches; none of them knows about objectives, samplers or environments."""
