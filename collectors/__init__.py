"""Real games and the data they leave: environments, scripted policies, datasets. No torch.

Importing this package registers the `Real*-v0` environments.
"""

from collectors.worlds.registration import register_environments
from collectors.worlds.table import register_now_and_later

__neural_envs__ = True

register_now_and_later(register_environments)
