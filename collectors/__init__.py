"""Real games and the data they leave: environments, scripted policies, datasets. No torch.

Importing this package registers the `Real*-v0` environments.
"""

from collectors.worlds.registration import register_environments

__neural_envs__ = True

register_environments()
