"""docs/envs: a page per world that says what its game says, and nothing that is not so."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import pytest
from gymnasium.envs.registration import load_env_creator

import collectors  # noqa: F401  registers the ids
from agents.envs import bundle_spec
from agents.results import environment_pages, pages
from agents.results.docstrings import defaults, read_docstring
from collectors.worlds.table import WORLDS
from neural_envs.env import NeuralEnv
from neural_envs.vector_env import NeuralVectorEnv

ROOT = Path(__file__).resolve().parents[3]


def docstring_of(world: str):
    return read_docstring(load_env_creator(WORLDS[world].env))


def test_the_pages_are_in_step_with_docstrings_and_cards():
    for path, text in environment_pages.pages().items():
        assert (ROOT / path).read_text() == text, f"{path} is not in step: run `make results`"


@pytest.mark.parametrize("world", WORLDS)
def test_every_argument_of_a_game_is_explained_and_no_other(world):
    game = load_env_creator(WORLDS[world].env)
    assert set(docstring_of(world).arguments) == set(environment_pages.options_of(game))


def test_every_argument_of_a_dream_is_explained_and_no_other():
    assert set(read_docstring(NeuralVectorEnv).arguments) == set(defaults(NeuralVectorEnv))


@pytest.mark.parametrize("world", [name for name in WORLDS if name != "coinrun"])
def test_every_key_of_a_game_s_info_is_named(world):
    text = docstring_of(world).parts["Info"]
    with_splits = {"region": "split"} if world == "worldmap" else {}
    env = gym.make(WORLDS[world].real_id, **with_splits)
    _, info = env.reset(seed=0)
    info = info | env.step(0)[-1]
    assert info and [key for key in info if f"`{key}`" not in text] == []


def test_every_key_of_a_dream_s_info_is_named():
    env = NeuralEnv("snake", min_trust=0.0)
    _, info = env.reset(seed=0)
    text = read_docstring(NeuralVectorEnv).parts["Info"]
    assert [key for key in info | env.step(0)[-1] if f"`{key}`" not in text] == []


@pytest.mark.parametrize("world", WORLDS)
def test_a_page_has_every_action_every_bundle_and_every_section(world):
    text = environment_pages.pages()[environment_pages.page_path(world)]
    for number, name in enumerate(bundle_spec(world)["action_names"]):
        assert f"| {number} | {name} |" in text
    for bundle in environment_pages.bundles_of(world):
        assert f"`{bundle}`" in text
    for title in ("Actions", "Arguments", "Bundles", "Version history", "Info"):
        assert f"## {title}\n" in text


def test_a_docstring_without_a_part_is_a_sentence(monkeypatch):
    class Game:
        """A game.

        Reward: none.
        """

    monkeypatch.setattr(environment_pages, "load_env_creator", lambda _: Game)
    with pytest.raises(environment_pages.PageError, match="no Actions and no Versions and no Obs"):
        environment_pages.page(WORLDS["snake"])


def test_a_docstring_is_read_into_its_parts():
    class Game:
        """A game.

        Reward: one for
        a point.

        Arguments:
            size: how large,
                in pixels.
            speed: how fast.
        """

    docstring = read_docstring(Game)
    assert docstring.text == ["A game."] and docstring.parts == {"Reward": "one for a point."}
    assert docstring.arguments == {"size": "how large, in pixels.", "speed": "how fast."}


def test_bars_in_a_cell_do_not_end_it():
    assert environment_pages.table(("a",), [("x|y",)]).endswith("| x\\|y |")


def test_the_arguments_of_every_dream_stand_on_their_page():
    text = (ROOT / "docs/envs/index.md").read_text()
    assert pages.written(text, pages.parts()) == text
    assert "| `min_trust` |" in text and "`gym.make_vec` only" in text
