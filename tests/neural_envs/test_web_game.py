"""The game of one page without a network: what each message does."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest

from collectors.policies.policies import RandomPolicy
from neural_envs.play.twins import PlayError, policy_names
from neural_envs.web import protocol
from neural_envs.web.agent_list import AgentList
from neural_envs.web.catalogue import BundleCatalogue, BundleInfo
from neural_envs.web.config import ServeConfig
from neural_envs.web.game import GameSession
from neural_envs.web.server import main
from neural_envs.web.snapshots import MAX_SNAPSHOTS
from tests.collectors.parts_games import Dot, register
from tests.neural_envs.test_dream_actions import bundle_of
from tests.neural_envs.web_double import COUNTING, RIGHT, CountingCatalogue
from tests.oracles import COUNT, shown


def names(game: GameSession) -> list[str]:
    return [view.name for view in game.show()[1]]


def test_snapshots_go_back_and_the_oldest_make_room():
    game = GameSession(CountingCatalogue(), COUNTING, seed=0)
    game.apply(protocol.Action(RIGHT, True))
    game.tick()
    game.apply(protocol.TakeSnapshot())
    game.tick()
    game.apply(protocol.TakeSnapshot())
    messages = [m for m in game.take_messages() if m["type"] == "snapshots"]
    rows = messages[-1]["snapshots"]
    assert [row["step"] for row in rows] == [1, 2] and base64.b64decode(
        rows[0]["image"]
    ).startswith(b"\x89PNG")
    game.apply(protocol.RestoreSnapshot(rows[0]["id"]))
    assert (
        shown(game.show()[1][0].frame, COUNT) == 1
        and len(game.session.views[0].recorder.actions) == 1
    )
    for _ in range(MAX_SNAPSHOTS):
        game.apply(protocol.TakeSnapshot())
    assert (
        len(game.snapshots.snapshots) == MAX_SNAPSHOTS
        and rows[0]["id"] not in game.snapshots.snapshots
    )


def test_a_policy_plays_and_hands_back():
    game = GameSession(CountingCatalogue(), COUNTING, seed=0)
    game.apply(protocol.ChoosePlayer("random"))
    game.tick()
    assert game.show()[0]["step"] == 1 and game.show()[0]["player"] == "random"
    game.apply(protocol.ChoosePlayer("you"))
    game.apply(protocol.Pause(True))
    game.tick()
    assert game.show()[0]["step"] == 1 and game.paused


def test_a_seed_gives_its_game_again():
    game = GameSession(CountingCatalogue(), COUNTING, seed=5)
    first = game.show()[1][0].frame
    game.apply(protocol.NewGame(6))
    game.apply(protocol.NewGame(5))
    assert (game.show()[1][0].frame == first).all() and game.show()[0]["seed"] == 5


def test_real_game_difference_and_resync_beside_the_dream():
    game = GameSession(CountingCatalogue("snake"), CountingCatalogue("snake").find("snake"), seed=1)
    game.apply(protocol.ShowViews(real=True, difference=True))
    dream, real, difference = (view.frame for view in game.show()[1])
    assert names(game) == ["dream", "real", "difference"] and (dream == real).all()
    assert np.ptp(difference, axis=-1).max() == 0  # grey: they agree
    game.apply(protocol.ChoosePlayer("astar"))
    for _ in range(12):
        game.tick()
    game.apply(protocol.Resync())
    dream, real, _ = (view.frame for view in game.show()[1])
    assert (dream == real).all() and game.take_messages()[-1]["type"] == "options"
    game.apply(protocol.ShowViews(real=False, difference=False))
    assert names(game) == ["dream"] and game.show()[0]["step"] == 12


def test_a_missing_real_game_is_a_sentence_with_its_command_and_the_dream_goes_on(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "envpool", None)
    catalogue = CountingCatalogue("coinrun")
    game = GameSession(catalogue, catalogue.find("coinrun"), seed=1)
    game.apply(protocol.ShowViews(real=True, difference=False))
    notice, options = game.take_messages()
    assert (
        "pip install" in notice["message"]
        and "coinrun" in notice["message"]
        and options["real"] is False
    )
    game.tick()
    assert names(game) == ["dream"] and game.show()[0]["step"] == 1


def of_dots() -> tuple[CountingCatalogue, BundleInfo]:
    """The catalogue of a dream of a game that is no world of the table."""
    register()
    found, info = CountingCatalogue(), BundleInfo("dots", "Dot-v0", "dots")
    bundle = bundle_of(Dot.action_space)
    bundle.model.spec = replace(bundle.model.spec, world="Dot-v0")
    found.bundles["dots"], found.loaded["dots"] = info, bundle
    return found, info


def test_a_game_of_ones_own_is_beside_its_dream_where_the_server_was_given_it():
    catalogue, info = of_dots()
    real = protocol.ShowViews(real=True, difference=False)
    game = GameSession(catalogue, info, seed=1)
    game.apply(real)
    assert "name it with --twin Dot-v0" in game.take_messages()[0]["message"]
    catalogue.set_twin("Dot-v0", ("length=5",))
    game = GameSession(catalogue, info, seed=1)
    game.apply(real)
    assert names(game) == ["dream", "real"]
    twin = game.session.real.env.unwrapped.game.unwrapped
    assert isinstance(twin, Dot) and twin.length == 5


def test_a_real_game_that_fits_no_dream_is_a_sentence_before_anybody_plays():
    catalogue, _ = of_dots()
    for twin, words, sentence in (
        ("Pad-v0", (), "do not fit"),
        ("Nothing-v0", (), "the real game Nothing-v0 is not here"),
        ("Dot-v0", ("size_of_dot=5",), "Dot-v0 cannot be shown .*size_of_dot"),
    ):
        with pytest.raises(PlayError, match=sentence):
            catalogue.set_twin(twin, words)
    with pytest.raises(PlayError, match="add its --bundle"):
        BundleCatalogue().set_twin("Dot-v0")
    with pytest.raises(ValueError, match="name it with --twin"):
        ServeConfig(real_options=("length=5",))


def test_a_server_with_a_real_game_of_no_dream_does_not_start(capsys, monkeypatch):
    monkeypatch.setattr("neural_envs.web.server.listen", lambda *address: 1 / 0)
    assert main(["--port", "0", "--twin", "Dot-v0"]) == 1
    error = capsys.readouterr().err
    assert "--twin is the real game of a dream of another game" in error and error.count("\n") == 1


def test_trained_agents_are_players_by_the_names_that_the_server_gave_them():
    def make(file: str, actions: int, world: str) -> RandomPolicy:
        if file != "runs/ppo/counting/policy.zip":
            raise ValueError("of another game")
        return RandomPolicy(actions)

    catalogue = CountingCatalogue()
    files = ["runs/ppo/counting/policy.zip", "runs/ppo/pong/policy.zip"]
    catalogue.agents = AgentList(files, make)
    game = GameSession(catalogue, COUNTING, seed=0)
    assert game.about()["policies"] == [*policy_names("counting"), "agent counting"]
    game.apply(protocol.ChoosePlayer("agent counting"))
    game.tick()
    assert game.show()[0]["step"] == 1 and game.show()[0]["player"] == "agent counting"
    for name in ("runs/ppo/counting/policy.zip", "agent pong"):  # no file that a page names
        game.take_messages()
        game.apply(protocol.ChoosePlayer(name))
        assert "notice" in [message["type"] for message in game.take_messages()]
        assert game.player == "agent counting"


def test_agents_of_one_folder_name_have_numbers():
    assert list(AgentList(["a/x/1.zip", "b/x/2.zip"]).files) == ["agent x", "agent x 2"]
