"""CoinRun."""
