"""What a repository of the Hub holds beside a bundle: `env.py` of LeRobot's EnvHub, and its card.

`env.py` is for others, who run it by their own choice: loading a bundle fetches the files of a
bundle alone (`bundles.FILES`), and runs none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from world_models.bundles.card import PLACE

FILM = "dream.gif"
ENV_FILE = "env.py"

ENV_PY = '''"""A dream of {world} as an environment of LeRobot's EnvHub: `make_env`.

Needs `pip install neural-envs`. The bundle is what lies beside this file or, where this file alone
was fetched into the cache of the Hub, that of the repository at the same revision.
"""

from pathlib import Path


def make_env(n_envs: int = 1, use_async_envs: bool = False, cfg=None):
    """`n_envs` dreams as a gymnasium.vector.VectorEnv that resets within the step that ends a game.

    They are one batch of one model whatever `use_async_envs` says: processes would be slower.
    LeRobot gives `cfg` where it was asked by a configuration; nothing in it is for a dream.
    """
    from neural_envs.vector_env import NeuralVectorEnv

    here = Path(__file__).absolute().parent  # not resolved: a snapshot's files are links to blobs
    bundle = str(here)
    if not all((here / name).is_file() for name in ("config.json", "model.safetensors")):
        # env.py was fetched alone, into .../snapshots/COMMIT
        revision = "@" + here.name if here.parent.name == "snapshots" else ""
        bundle = "{repository}" + revision
    return NeuralVectorEnv(bundle=bundle, num_envs=n_envs, autoreset_mode="SameStep")
'''

USE = """
The newest revision is fetched once and then kept, so that it does not change under you;
`bundle="{repository}@main"` looks for a newer one, and `"{repository}@COMMIT"` names one for good.

As an environment of [EnvHub](https://huggingface.co/docs/lerobot/envhub):

```python
from lerobot.envs.factory import make_env

envs = make_env("{repository}", n_envs=16, trust_remote_code=True)  # runs env.py of this repository
```

Play it: `neural-envs play --bundle {repository}`, or in the browser: `neural-envs serve
--bundle {repository}`.
"""


def env_file(config: Mapping[str, Any], repository: str) -> str:
    """`env.py` for the bundle of a config.json, in this repository."""
    return ENV_PY.format(world=_plain(config["spec"]["world"]), repository=repository)


def hub_card(card: str, repository: str, film: bool) -> str:
    """The card of a bundle, for its repository: how it is used from there and, if there is a
    `film`, that.
    """
    head, fence, rest = card.replace(PLACE, repository).partition("```\n\n## Provenance")
    moving = f"\n![A dream]({FILM})\n" if film else ""
    if not fence:  # a card that somebody else wrote
        return head + moving + USE.format(repository=repository)
    return head + "```\n" + moving + USE.format(repository=repository) + "\n## Provenance" + rest


def _plain(name: str) -> str:
    """A name without what could end a docstring."""
    return "".join(letter for letter in name if letter.isalnum() or letter in " /:._-")
