"""The real games, each in one file."""
