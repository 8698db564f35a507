"""Training agents with PPO."""
