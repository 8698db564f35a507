"""Agents that learn in dreams and are measured in the real games.

Needs the `agents` extra (stable-baselines3).
"""

# `neural-envs` checks this, because other distributions also install a package named `agents`
__neural_envs__ = True
