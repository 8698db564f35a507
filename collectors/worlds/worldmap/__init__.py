"""The world map."""
