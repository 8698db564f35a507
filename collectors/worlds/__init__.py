"""The real games, one folder per world."""
