"""Pong."""
