"""How many different rewards a dataset may hold."""

import numpy as np

from collectors.dataset.shards import DatasetError

MOST_REWARDS = 255  # different ones; networks have a class for each


class TooManyRewards(DatasetError):
    """A game whose steps give more different rewards than a model tells apart."""

    def __init__(self, found: int, verb: str = "collect"):
        option = "--reward sign" if verb == "import" else "--options reward=sign"
        super().__init__(
            f"the game has {found} different rewards, a model tells {MOST_REWARDS} apart at most; "
            f"{verb} their signs: {option}, in another directory"
        )
        self.found, self.verb = found, verb

    def __reduce__(self):  # a worker process sends it
        return type(self), (self.found, self.verb)


def add_rewards(found: set[float], rewards: np.ndarray, verb: str = "collect") -> None:
    """Adds the different rewards of a game (T,). Raises TooManyRewards where they become more than
    a model tells apart.
    """
    found.update(np.unique(rewards).tolist())
    if len(found) > MOST_REWARDS:
        raise TooManyRewards(len(found), verb)
