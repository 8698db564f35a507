"""Who plays whole games for `evaluate`, and what it says where there are none to play."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.evaluation import game
from agents.evaluation.evaluate_config import EvaluateConfig
from agents.evaluation.game import GameOptions, measure_games, play_all
from agents.evaluation.game_table import game_table
from agents.evaluation.players import EquivalentKeyAgent, NoisyAgent, make_players
from agents.evaluation.time_budget import dreams_played
from agents.ppo.policy_file import make_ppo, save_policy
from agents.ppo.vec_env import sb3_env
from collectors.action_space import ActionSpace
from collectors.settings.parse import parse
from tests.agents.ppo.test_ppo_actions import SMALL, dream
from tests.agents.stub_envs import CountingVectorEnv
from tests.neural_envs.test_dream_actions import BOX, LATE
from tests.oracles import CountingModel
from tests.source_tree import ROOT
from world_models.bundles.bundle import Bundle
from world_models.bundles.contexts import Contexts
from world_models.evaluation.evaluation import EvaluationOptions
from world_models.evaluation.evaluator import Evaluator

NO_CONTEXTS = Contexts(np.zeros((0, 1, 8, 8, 3), np.uint8), np.zeros((0, 0), np.int64))


class Still:
    """Always takes action 3."""

    def reset(self, lanes):
        pass

    def __call__(self, observations):
        return np.full(len(observations), 3)


def test_a_noisy_player_takes_the_inner_action_in_the_rest_of_its_steps():
    agent = NoisyAgent(Still(), 0.6, 4, seed=0)
    taken = np.concatenate([agent(np.zeros((50, 1))) for _ in range(100)])
    shares = np.bincount(taken, minlength=4) / len(taken)
    assert shares == pytest.approx([0.15, 0.15, 0.15, 0.55], abs=0.02)


@pytest.mark.parametrize("world", ["snake", "pong", "coinrun"])
def test_every_world_with_equivalent_keys_has_a_player_that_presses_them(world):
    players = make_players(world, {"snake": 4, "pong": 3, "coinrun": 15}[world], "", 0)
    assert list(players)[0] == "random" and "equivalent" in players and len(players) == 4


def test_a_trained_agent_plays_whole_games_and_is_ranked_by_one_setting(monkeypatch):
    asked = []
    monkeypatch.setattr(game, "_make_envs", lambda *words: {})
    monkeypatch.setattr(game, "make_players", lambda *words: asked.append(words[2]) or {})
    monkeypatch.setattr(game, "play_all", lambda *words: ({}, {}))
    monkeypatch.setattr(game, "_measured", lambda *words: game.Games({"game": {}}, {}, {}, {}))
    bare = EvaluateConfig(bundle="snake")
    config = replace(bare, policy="runs/agent/policy.zip")
    bundle = Bundle(CountingModel(), NO_CONTEXTS, {}, Path("none"))
    measure_games(bundle, Evaluator(bundle.model.spec), config, config, "counting")
    assert asked == config.agents == ["runs/agent/policy.zip"]
    assert dreams_played(config) == dreams_played(bare) + 1


def test_the_other_name_of_that_setting_is_answered_with_this_one(capsys):
    with pytest.raises(SystemExit):
        parse(EvaluateConfig, ["snake", "--policy-file", "a.zip"], "evaluate", ("bundle",))
    assert "called 'policy' now" in capsys.readouterr().err


def test_a_policy_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        make_players("snake", 4, str(tmp_path / "nothing.zip"), 0)


@pytest.mark.parametrize("space", [BOX, LATE], ids=str)
def test_a_trained_agent_plays_in_the_actions_of_the_game(space, tmp_path):
    model = make_ppo(sb3_env(dream(space), 0), SMALL, 0)
    file = save_policy(model, tmp_path / "trained" / "policy.zip")
    known = ActionSpace.from_gymnasium(space)
    agent = make_players("tiny", known.for_policies, str(file), 0)["agent-trained"](2)
    frames = np.zeros((2, 16, 24, 3), np.uint8)
    taken = np.concatenate([agent(frames) for _ in range(40)])
    assert known.holds(taken) and known.encode(taken).std() > 0.2
    assert not known.encoded().holds(taken)


@pytest.mark.parametrize(
    ("options", "why"), [(GameOptions(), "no row"), (GameOptions(game=False), "asked for")]
)
def test_where_no_game_can_be_played_every_figure_says_why(options, why):
    model = CountingModel()
    bundle = Bundle(model, NO_CONTEXTS, {}, Path("none"))
    games = measure_games(bundle, Evaluator(model.spec), options, EvaluationOptions())
    assert set(games.figures) == {"game", "hold", "loop_closure"} and not games.plays
    assert all(
        why in found["omitted"]
        for found in (*games.figures.values(), games.counts, games.min_trust)
    )
    assert game_table({**games.figures, "rules": {"counts": games.counts}}) == ""


def test_the_table_of_games_has_words_for_every_figure_and_no_key_of_the_file():
    shown = 0
    for file in (ROOT / "agents/results/measured").glob("*/evaluation.json"):
        table = game_table(json.loads(file.read_text()))
        shown += "random: return " in table and "sharpness, 32 steps deep" in table
        assert not re.search(r"\w[._][a-z]", table)
    assert shown > 1


@pytest.mark.parametrize("name", ["game_lanes", "game_steps"])
def test_a_count_of_nothing_is_refused(name):
    with pytest.raises(ValueError, match=name):
        GameOptions(**{name: 0})


def played_by(keys):
    """`play_all` of a player whose keys are alike as `keys` says."""

    def player(lanes):
        return EquivalentKeyAgent(Still(), keys)

    envs = {kind: CountingVectorEnv([9, 9], [1, 1]) for kind in ("dream", "real")}
    evaluator = Evaluator(CountingModel().spec)
    return play_all(envs, {"equivalent": player}, evaluator, 6, 0)


def test_a_player_that_never_meets_two_keys_of_one_effect_is_told_and_not_counted_twice():
    plays, unmet = played_by(lambda frames: np.tile(np.arange(4), (len(frames), 1)))
    assert not plays and "no state" in unmet["equivalent"]["omitted"]
    assert "no state" in game_table({"game": {**unmet}, "loop_closure": {"4": {"value": 1.0}}})
    plays, unmet = played_by(lambda frames: np.tile([0, 1, 2, 2], (len(frames), 1)))
    assert set(plays) == {"equivalent"} and not unmet
