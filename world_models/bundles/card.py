"""The model card of a bundle: README.md, in the form that the Hugging Face Hub reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PLACE = "PATH OF THIS DIRECTORY"  # what `hub` replaces by the name of a repository

_HEAD = """---
library_name: neural-envs
license: mit
pipeline_tag: reinforcement-learning
tags: [world-model, gymnasium, {world}]
---

# {world}: a {kind} world model

A game as a neural network, played through Gymnasium:

```python
import gymnasium as gym

env = gym.make("neural_envs:NeuralEnv-v0", bundle="{place}")
```
"""


def model_card(config: Mapping[str, Any]) -> str:
    """The card for the content of a config.json: what it is, where it comes from, its results."""
    scores = [f"- {name}: {value}" for name, value in config["scores"].items()]
    lines = [_HEAD.format(world=config["spec"]["world"], kind=config["kind"], place=PLACE)]
    lines += ["## Provenance", ""]
    lines += [f"- {name}: `{value}`" for name, value in config["provenance"].items()]
    lines += ["", "## Results (held-out episodes, `neural-envs evaluate`)", ""]
    lines += scores or ["None yet."]
    return "\n".join(lines) + "\n"
