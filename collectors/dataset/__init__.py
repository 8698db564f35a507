"""Recorded games: shards, splits, statistics, Minari."""
