"""What runs the networks of a dream."""
