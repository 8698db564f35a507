"""Any public game through every command: collect, train, gym.make, evaluate, play, and PPO in the
dream.
"""

import json

import gymnasium
import pytest

from collectors.recording.collect import main as collect
from collectors.worlds.any_game import twin_options

GAME = "MiniGrid-Empty-5x5-v0"
TINY = [
    "model.grid.width=8",
    "model.grid.encoder_depth=1",
    "model.grid.decoder_depth=1",
    "batch_size=4",
    "updates=3",
    "contexts=4",
    "validation_batches=1",
    "threads=1",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with a dataset of the game and a bundle that was hardly trained on it."""
    pytest.importorskip("minigrid")
    from world_models.training.run import main as train

    folder = tmp_path_factory.mktemp("any")
    options = "--options=reward=sign,max_steps=20,size=32"
    assert (
        collect(
            [f"--env={GAME}", options, "--frames=900", "--workers=1", f"--out={folder / 'data'}"]
        )
        == 0
    )
    assert train(["any", f"data={folder / 'data'}", f"out={folder}", *TINY]) == 0
    return folder


def test_the_dream_is_made_and_played_like_the_game(run):
    dream = gymnasium.make("neural_envs:NeuralEnv-v0", bundle=str(run / "bundle"))
    real = gymnasium.make("collectors:AnyGame-v0", **twin_options(dream.unwrapped.world.as_dict()))
    assert (dream.observation_space, dream.action_space) == (
        real.observation_space,
        real.action_space,
    )
    learned = dream.unwrapped.world.as_dict()
    assert set(learned.pop("final_rewards")) <= {-1, 1}  # read off the data, as far as they show it
    assert real.unwrapped.world_spec() | {"reward_values": [-1, 0, 1]} == learned
    dream.reset(seed=0)
    frame, reward, *_ = dream.step(2)
    assert frame.shape == (32, 32, 3) and reward in (-1.0, 0.0, 1.0)


def test_the_dream_is_evaluated_without_a_real_game(run, capsys):
    from agents.evaluation.evaluate import main as evaluate

    sizes = [
        "--transitions=40",
        "--random-actions=20",
        "--rollouts=4",
        "--horizon=8",
        "--kid-frames=0",
    ]
    sizes += ["--survival-steps=10", "--survival-lanes=2", "--kid-depth=4"]
    words = [str(run / "bundle"), f"--data={run / 'data'}", f"--out={run / 'evaluation'}", *sizes]
    assert evaluate(words) == 0
    figures = json.loads((run / "evaluation" / "evaluation.json").read_text())
    assert figures["one_step"]["samples"] == 40 and set(figures["survival"]) == {"random"}
    assert "omitted" in figures["policy_ranking"] and "omitted" in figures["rules"]
    assert 0 <= figures["action_sensitivity"]["dream"] <= 1


def test_whole_games_are_played_where_the_game_is_named(run):
    from agents.evaluation.game import GameOptions, measure_games
    from agents.evaluation.game_table import game_table
    from world_models.bundles.bundle import load_bundle
    from world_models.evaluation.evaluation import EvaluationOptions
    from world_models.evaluation.worlds.table import make_evaluator

    bundle = load_bundle(run / "bundle")
    evaluator = make_evaluator(bundle.model.spec)
    options = GameOptions(game_lanes=8, game_steps=33, real_options=("max_steps=20",))
    few = EvaluationOptions(kid_frames=0)
    found = measure_games(bundle, evaluator, options, few, GAME)
    assert list(found.plays) == ["random", "sticky"]
    assert found.figures["hold"]["1"]["sharpness"]["real"]["samples"] >= 8
    assert found.figures["hold"]["32"]["policies"]["sticky"]["omitted"].endswith("needed")
    assert "sticky: return" in game_table(found.figures)
    other = measure_games(bundle, evaluator, options, few, "MiniGrid-FourRooms-v0")
    assert f"--real {GAME}" in other.figures["hold"]["omitted"]


def test_missing_data_are_asked_for_by_the_games_id(run, capsys, monkeypatch, tmp_path):
    from agents.evaluation.evaluate import main as evaluate

    monkeypatch.chdir(tmp_path)
    assert evaluate([str(run / "bundle")]) == 1
    assert f"collect --env {GAME}" in capsys.readouterr().err


def test_a_real_game_that_is_not_here_or_another_is_a_sentence(run, capsys, monkeypatch):
    from neural_envs.commands.play import main as play

    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    for game, words in (("NoGame-v0", "is not here"), ("collectors:RealSnake-v0", "do not fit")):
        assert play(["--bundle", str(run / "bundle"), f"--twin={game}", "--max-steps=1"]) == 1
        assert words in capsys.readouterr().err


@pytest.mark.parametrize("real", [[], [f"--twin={GAME}"]])
def test_the_dream_is_played_alone_or_beside_its_game(run, real, capsys, monkeypatch):
    from neural_envs.commands.play import main as play

    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    words = [
        "--bundle",
        str(run / "bundle"),
        "--policy=random",
        "--max-steps=3",
        "--seed=1",
        "--fps=1000",
        *real,
    ]
    assert play(words) == 0
    out = capsys.readouterr().out
    assert "3: pickup" in out and out.count(": return") == 1 + len(real)


@pytest.mark.parametrize("kind", ["dream", "real"])
def test_an_agent_learns_in_the_dream_and_in_the_game(run, kind, capsys):
    from agents.envs import env_id, env_settings
    from agents.evaluation.play import play_policy
    from agents.ppo.command import main
    from agents.ppo.train import load_policy

    small = ["ppo.num_envs=2", "ppo.n_steps=8", "ppo.batch_size=16", "ppo.n_epochs=1", "--steps=16"]
    words = [GAME, f"--world={kind}", "--bundle", str(run / "bundle")]
    words += [f"--out={run / kind}", *small]
    assert main(words) == 0, capsys.readouterr().err
    settings = env_settings(GAME, "real", str(run / "bundle"))
    game = env_id(GAME, "real", str(run / "bundle"))
    played = play_policy(load_policy(run / kind / "policy.zip"), game, 2, 0, 20, **settings)
    assert (played.lengths <= 20).all()


def test_a_world_that_is_neither_in_the_table_nor_in_the_bundle_is_refused(
    run, capsys, tmp_path, monkeypatch
):
    from agents.ppo.command import main

    monkeypatch.chdir(tmp_path)
    assert main(["nogame", "--bundle", str(run / "bundle")]) == 1
    assert f"coinrun, {GAME}" in capsys.readouterr().err
    assert main([GAME]) == 1
    assert "give a bundle" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
