"""Playing a dream in a window."""
