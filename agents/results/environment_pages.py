"""docs/envs: a page per world, from the docstring of its game and the cards of its bundles."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

from gymnasium.envs.registration import load_env_creator
from safetensors import safe_open

from agents.results.docstrings import Docstring, defaults, read_docstring
from agents.results.figures import number_text
from collectors.worlds.registration import NamesOptions
from collectors.worlds.table import WORLDS, World
from neural_envs.action_keys import keys_to_action
from neural_envs.bundles import NOT_PACKAGED, released_names, resolve_bundle
from neural_envs.vector_env import NeuralVectorEnv
from world_models.bundles.reading import read_config
from world_models.bundles.shared_contexts import contexts_file

SECTIONS = {  # label of a docstring -> heading of a page
    "Observation": "Observation",
    "Reward": "Reward",
    "Start": "Starting state",
    "Termination": "Termination",
    "Truncation": "Truncation",
    "Info": "Info",
}
SCORES = {
    "one_step.psnr": "next frame, PSNR (dB)",
    "termination.f1": "game over, F1",
    "trust.auroc": "trust before calibration, AUROC",
}
OF_MANY = ("num_envs", "autoreset_mode", "output")  # arguments of gym.make_vec only
OF_THE_ID = ("bundle", "model", "world")
PAGE = """<!-- written by `make results` from `{source}` and from the cards of the bundles -->

# {title}

![A dream of {title} beside the game](../gallery/{name}.gif)

*A dream, left, beside the game: the same start and the same player, {player}.*

{text}

{facts}

```python
import gymnasium as gym
import {package}  # registers the ids

env = gym.make("{identifier}", render_mode="rgb_array")
```

## Actions

{actions}

{sections}

## Arguments

Of the real game, `gym.make("{real}", ...)` after `import collectors`:

{arguments}

Those of the dream are the same for [every dream](index.md#arguments-of-every-dream).

## Bundles

`gym.make("{identifier}", bundle="{other}")` takes another one. Scores are those of a bundle's card,
where `neural-envs evaluate` wrote them; figures with intervals, and what they mean, are among the
[results](../results.md#{name}).

{bundles}

## Version history

{versions}
"""


class PageError(ValueError):
    """A docstring says too little for a page; the message says of which class and what."""


def page_path(world: str) -> str:
    """Where the page of a world lies."""
    return f"docs/envs/{world}.md"


def pages() -> dict[str, str]:
    """Path -> text of every page."""
    return {page_path(name): page(world) for name, world in WORLDS.items()}


def page(world: World) -> str:
    """The page of a world. Raises PageError where its docstring lacks a part."""
    game: Any = load_env_creator(world.env)
    docstring = read_docstring(game)
    docstring.parts.update({label: _sentence(docstring.parts[label]) for label in docstring.parts})
    missing = [
        label for label in ("Actions", "Versions", *SECTIONS) if label not in docstring.parts
    ]
    if missing:
        raise PageError(f"the docstring of {world.env} has no {' and no '.join(missing)}")
    spec = read_config(resolve_bundle(world.name))["spec"]
    names = bundles_of(world.name)
    sections = [f"## {title}\n\n{docstring.parts[label]}" for label, title in SECTIONS.items()]
    return PAGE.format(
        source=world.env.replace(".", "/").replace("/env:", "/env.py:"),
        title=docstring.parts.get("Title", world.title),
        name=world.name,
        player=f"`{world.best_policy}`",
        text="\n\n".join(docstring.text),
        facts=_facts(world, spec),
        package="neural_envs",
        identifier=world.neural_id,
        real=world.real_id,
        actions=f"{docstring.parts['Actions']}\n\n{_actions(spec['action_names'])}",
        sections="\n\n".join(sections),
        arguments=argument_table(docstring, options_of(game)),
        other=next((name for name in names if name != world.name), world.name),
        bundles=_bundles(world.name, names),
        versions=f"* {docstring.parts['Versions']}",
    )


def bundles_of(world: str) -> list[str]:
    """The released bundles of a world, its default first."""
    found = [
        name
        for name in released_names()
        if read_config(resolve_bundle(name))["spec"]["world"] == world
    ]
    return sorted(found, key=lambda name: (name != world, name))


def argument_table(docstring: Docstring, values: Mapping[str, object]) -> str:
    """A row per argument that the docstring explains: name, default, meaning."""
    rows = [
        (f"`{name}`", f"`{_plain(values[name])!r}`" if name in values else "", meaning)
        for name, meaning in docstring.arguments.items()
    ]
    return table(("argument", "default", "meaning"), rows)


def dream_arguments() -> str:
    """The arguments of every dream, those of `gym.make_vec` alone marked."""
    docstring = read_docstring(NeuralVectorEnv)
    shown = {
        name: f"{meaning} (`gym.make_vec` only)" if name in OF_MANY else meaning
        for name, meaning in docstring.arguments.items()
    }
    return argument_table(docstring._replace(arguments=shown), defaults(NeuralVectorEnv))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars in cells are escaped."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
    return "\n".join(lines)


def options_of(game: Any) -> dict[str, object]:
    """Argument -> default of a game; where it takes `**options`, also of their dataclass."""
    values = defaults(game)
    if isinstance(game, NamesOptions):
        fields = dataclasses.fields(game.options_class)
        values |= {field.name: field.default for field in fields}
    return values


def weights_of(bundle: str) -> int:
    """The numbers in a bundle's weights."""
    count = 0
    with safe_open(resolve_bundle(bundle) / "model.safetensors", "np") as file:
        for name in file.keys():
            size = 1
            for side in file.get_slice(name).get_shape():
                size *= side
            count += size
    return count


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _plain(value: object) -> object:
    """An enumeration's member as what it stands for."""
    return value.value if isinstance(value, Enum) else value


def _facts(world: World, spec: Mapping[str, Any]) -> str:
    rewards = ", ".join(f"{value:g}" for value in spec["reward_values"])
    shape = "({})".format(", ".join(map(str, spec["frame_shape"])))
    rows = [
        ("the dream", f"`{world.neural_id}`"),
        ("the real game", f"`{world.real_id}`"),
        ("action space", f"`Discrete({len(spec['action_names'])})`"),
        ("observation space", f"`Box(0, 255, {shape}, uint8)`"),
        ("rewards", rewards),
        ("frames per second", str(spec["fps"])),
        ("step limit", str(world.max_episode_steps)),
    ]
    return table(("", ""), rows)


def _actions(names: Sequence[str]) -> str:
    """Number, name and keys of every action."""
    pressed: dict[int, str] = {}
    for keys, action in keys_to_action(tuple(names)).items():
        if all(isinstance(key, str) for key in keys):  # not the arrows
            word = "+".join("space" if key == " " else key.upper() for key in keys)
            pressed.setdefault(action, word or "none")
    rows = [(str(n), name, pressed.get(n, "")) for n, name in enumerate(names)]
    return table(("number", "action", "key in `play`"), rows)


def _bundles(world: str, names: Sequence[str]) -> str:
    head = ("bundle", "family", "parameters", "size", "frame", *SCORES.values())
    rows = []
    for name in names:
        config = read_config(resolve_bundle(name))
        shown = f"**`{name}`** (default)" if name == world else f"`{name}`"
        shown += " (in the repository, not in the package)" if name in NOT_PACKAGED else ""
        shape = "x".join(map(str, config["spec"]["frame_shape"]))
        scores = [config["scores"].get(path) for path in SCORES]
        cells = ["-" if score is None else number_text(score) for score in scores]
        size = f"{_bytes_of(name) / 1e6:.1f} MB"
        rows.append((shown, config["kind"], f"{weights_of(name) / 1e6:.2g} M", size, shape, *cells))
    return table(head, rows)


def _bytes_of(bundle: str) -> int:
    """Bytes of a bundle's files, the contexts that it shares with others too."""
    folder = resolve_bundle(bundle)
    return sum(file.stat().st_size for file in {*folder.glob("*.*"), contexts_file(folder)})
