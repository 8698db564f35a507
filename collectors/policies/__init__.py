"""Policies that play a game by its frames."""
