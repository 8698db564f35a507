"""World models: networks, objectives and samplers that together make a batched,
seeded simulator of a game.
"""

__neural_envs__ = True
