import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from agents.evaluation import play
from agents.evaluation.play import Episodes
from agents.evaluation.safe_horizon import HorizonReturns
from agents.experiments import exploitation, transfer, world_model_seeds
from agents.experiments.stages import StageError
from agents.experiments.transfer import TransferConfig, run_transfer
from agents.experiments.transfer_report import format_table
from world_models.training.presets.table import PRESETS

RETURNS = {"dream": 7.0, "real": 9.0, "random": -1.0}
KEYS = {
    *("return_mean", "return_ci", "apples_mean", "apples_ci", "return_games_ci", "length_mean"),
    *("return_by_run", "runs", "episodes"),
}


def episodes(mean: float, count: int = 100) -> Episodes:
    spread = np.linspace(-1, 1, count)
    return Episodes(mean + spread, np.full(count, 3), np.full(count, 50))


class Policy(str):
    """A policy file's text: "dream" or "real", and the seed after it."""

    num_timesteps = 1000

    @property
    def mean(self) -> float:
        """Its mean return in the real game: seeds differ by a tenth."""
        kind, _, seed = self.partition(" ")
        return RETURNS[kind] + 0.1 * int(seed or 0)


class Parts:
    """Stands in for training and playing; `calls` says what was trained and played, in order."""

    def __init__(self):
        self.calls: list[str] = []
        self.games: list[tuple[str, int]] = []

    def train(self, run, kept=0):
        self.calls.append(f"train {run.world}")
        path = Path(run.out) / "policy.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        for moment in range(1, kept):
            path.with_name(f"policy_at_{moment:03}_of_{kept:03}.zip").write_text(run.world)
        path.write_text(f"{run.world} {run.seed}")
        return path

    def play(self, policy, env_id, count, seed, **settings):
        assert env_id.startswith("collectors:")
        self.calls.append(f"play {policy.partition(' ')[0]}")
        self.games.append((policy, seed))
        return episodes(Policy(policy).mean, count)

    def play_moment(self, policy, env_id, count, seed, horizon, **settings):
        self.calls.append(f"play along in {'dream' if 'Neural' in env_id else 'real'}")
        return episodes(8.0 if "Neural" in env_id else 4.0, count)

    def play_same_starts(self, policy, world, bundle, lanes, seed, *settings):
        self.calls.append("play from the same starts")
        returns = np.tile([1.0, 2.0], (lanes, 1))
        return HorizonReturns(np.array([8, 16]), returns, returns, *[np.full(lanes, 16)] * 2)


@pytest.fixture
def parts(monkeypatch) -> Parts:
    parts = Parts()
    monkeypatch.setattr(play, "RESAMPLES", 100)
    load = lambda path: Policy(Path(path).read_text())  # noqa: E731
    monkeypatch.setattr(transfer, "how_made", lambda *words: {})  # it asks git, which is slow
    monkeypatch.setattr(transfer, "check_dream_of", lambda *words: None)
    monkeypatch.setattr(transfer, "train_ppo", parts.train)
    monkeypatch.setattr(transfer, "play_policy", parts.play)
    monkeypatch.setattr(transfer, "load_policy", load)
    monkeypatch.setattr(transfer, "make_policy", lambda name, actions: name)
    monkeypatch.setattr(exploitation, "play_policy", parts.play_moment)
    monkeypatch.setattr(exploitation, "load_policy", load)
    monkeypatch.setattr(exploitation, "play_same_starts", parts.play_same_starts)
    return parts


def make_bundle(folder: Path, weights: bytes = b"weights", updates: int = 1) -> str:
    folder.mkdir(parents=True)
    keys = ("format_version", "kind", "model", "spec", "provenance", "scores")
    config = {key: {} for key in keys} | {"format_version": 2, "kind": "chance"}
    config["provenance"] = {"updates": updates}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(weights)
    return str(folder)


@pytest.fixture
def config(tmp_path) -> TransferConfig:
    return TransferConfig(
        "snake",
        steps=1000,
        episodes=100,
        out=str(tmp_path / "out"),
        seeds=(0,),
        bundle=make_bundle(tmp_path / "bundle"),
        exploitation_points=0,
    )


def three(config: TransferConfig, **changes) -> TransferConfig:
    return dataclasses.replace(config, seeds=(0, 1, 2), **changes)


def test_three_seeds_or_more_are_the_default_and_each_world_has_a_budget_of_its_own():
    assert len(TransferConfig().seeds) >= 3
    assert transfer.preset(["pong"]).steps == 1_000_000
    assert transfer.preset(["snake"]).steps == 300_000


def test_the_report_has_every_key_and_is_what_was_written(parts, config):
    result = run_transfer(three(config))
    assert json.loads((Path(config.out) / "transfer.json").read_text()) == result
    assert all(set(result[name]) == KEYS for name in ("dream", "real", "random"))
    assert result["transfer"] == pytest.approx(0.8, abs=0.01) and result["budget_steps"] == 1000
    assert {"made", "weights", "world_models", "seeds", "spread", "learned"} <= set(result)
    assert {"seconds_dream", "seconds_real", "exploitation", "safe_horizon"} <= set(result)
    assert result["dream"]["return_by_run"] == [pytest.approx([7.0, 7.1, 7.2])]


def test_the_interval_is_over_seeds_as_computed_by_hand(parts, config):
    result = run_transfer(three(config))
    # 7.0, 7.1, 7.2: standard error 0.1 / sqrt(3), t of two degrees of freedom 4.3027
    reach = 4.3027 * 0.1 / 3**0.5
    assert result["dream"]["return_ci"] == pytest.approx([7.1 - reach, 7.1 + reach])
    low, high = result["transfer_ci"]
    # the gains are 8.0, 8.1, 8.2 of 10.0, 10.1, 10.2
    for ratio in (low, high):
        rest = np.array([8.0, 8.1, 8.2]) - ratio * np.array([10.0, 10.1, 10.2])
        assert abs(rest.mean() / (rest.std(ddof=1) / 3**0.5)) == pytest.approx(4.3027, rel=1e-3)


def test_absolute_returns_come_first_and_the_ratio_last(parts, config):
    lines = format_table(run_transfer(three(config))).splitlines()
    assert lines[1].split()[:2] == ["dream", "7.10"] and lines[2].split()[:2] == ["real", "9.10"]
    assert lines[4].startswith("95 % intervals are over 3 PPO seeds (one world model")
    assert lines[-1].startswith("transfer 0.802 (95 %: 0.7")


def test_with_one_seed_there_is_no_interval_and_the_table_says_so(parts, config):
    result = run_transfer(config)
    assert result["dream"]["return_ci"] is None and result["transfer_ci"] is None
    assert result["transfer"] == pytest.approx(0.8) and result["spread"] is None
    text = format_table(result)
    assert "one run each: no interval over runs" in text
    assert text.splitlines()[-1] == "transfer 0.800 (one run, no interval)"


@pytest.mark.parametrize(
    ("seeds", "why"),
    [((0,), "taught nothing in this budget"), ((0, 1, 2), "-0.95 to -0.75, lie too far apart")],
)
def test_nothing_learned_gives_no_ratio_but_a_sentence(parts, config, monkeypatch, seeds, why):
    monkeypatch.setitem(RETURNS, "real", -0.95)
    result = run_transfer(dataclasses.replace(config, seeds=seeds))
    assert result["learned"] is False
    assert result["transfer"] is None and result["transfer_ci"] is None
    written = (Path(config.out) / "transfer.json").read_text()
    assert "NaN" not in written and json.loads(written)["transfer"] is None
    last = format_table(result).splitlines()[-1]
    assert last.startswith("transfer: none, for ") and why in last


def test_all_players_of_a_seed_meet_the_same_games_and_seeds_have_games_of_their_own(parts, config):
    run_transfer(three(config))
    starts = [start for _, start in parts.games]
    assert [len(set(starts[i : i + 3])) for i in (0, 3, 6)] == [1, 1, 1]
    assert len(set(starts)) == 3 and np.diff(sorted(set(starts))).min() >= config.episodes


def test_a_finished_half_is_not_trained_again(parts, config):
    first = run_transfer(config)
    (Path(config.out) / "real" / "policy.zip").unlink()
    parts.calls.clear()
    assert run_transfer(config)["transfer"] == first["transfer"]
    assert parts.calls == ["train real"]


def test_more_episodes_are_played_with_the_policies_that_are_there(parts, config):
    run_transfer(config)
    parts.calls.clear()
    assert run_transfer(dataclasses.replace(config, episodes=200))["dream"]["episodes"] == 200
    assert parts.calls == ["play dream", "play real", "play random"]


def test_other_settings_or_another_model_are_refused(parts, config):
    run_transfer(config)
    with pytest.raises(StageError, match="'dream/train' with steps=1000, not 2000"):
        run_transfer(dataclasses.replace(config, steps=2000))
    (Path(config.bundle) / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(StageError, match="'dream/train' with model="):
        run_transfer(config)


def test_several_seeds_each_have_a_folder_and_one_report(parts, config):
    result = run_transfer(dataclasses.replace(config, seeds=(3, 5)))
    root = Path(config.out)
    assert (root / "seed_3" / "dream" / "policy.zip").is_file()
    assert json.loads((root / "seed_5" / "transfer.json").read_text())["seeds"] == [5]
    assert result["dream"]["episodes"] == 200 and result["dream"]["runs"] == 2
    assert parts.calls.count("train dream") == parts.calls.count("train real") == 2


@pytest.mark.parametrize("first", [(0, 1), (1,)])
def test_more_seeds_go_on_from_those_that_are_there(parts, config, first):
    run_transfer(dataclasses.replace(config, seeds=first))
    parts.calls.clear()
    run_transfer(three(config))
    more = ["train dream", "train real"] * (3 - len(first))
    assert [call for call in parts.calls if "train" in call] == more


def test_games_that_players_did_not_meet_alike_are_played_again(parts, config):
    run_transfer(config)
    record = Path(config.out) / "state.json"
    state = json.loads(record.read_text())
    for player in ("dream", "real", "random"):
        settings = state["done"][f"{player}/play"]["settings"]
        settings["seed"] = "0"
        del settings["games"]
    record.write_text(json.dumps(state))
    parts.calls.clear()
    run_transfer(config)
    assert parts.calls == ["play dream", "play real", "play random"]


def test_a_half_that_an_older_version_made_is_not_trained_again(parts, config):
    run_transfer(config)
    record = Path(config.out) / "state.json"
    state = json.loads(record.read_text())
    for half in ("dream/train", "real/train"):
        del state["done"][half]["settings"]["ppo.stack"]
        del state["done"][half]["settings"]["save_every"]
    record.write_text(json.dumps(state))
    parts.calls.clear()
    run_transfer(config)
    assert parts.calls == []
    with pytest.raises(StageError, match="ppo.stack=1, not 4"):
        run_transfer(dataclasses.replace(config, ppo=dataclasses.replace(config.ppo, stack=4)))


def test_other_worlds_do_not_pick_apples(parts, config, monkeypatch):
    monkeypatch.setattr(transfer, "game_actions", lambda identifier: 3)
    result = run_transfer(dataclasses.replace(config, name="pong"))
    assert "points_mean" in result["dream"] and "apples_mean" not in result["dream"]
    assert "points" in format_table(result)


def test_the_command_prints_the_table_and_a_missing_bundle_is_one_sentence(parts, config, capsys):
    words = ["snake", "--seeds", "0", "--steps", "1000", "--exploitation-points", "0"]
    assert transfer.main([*words, "--out", config.out, "--bundle", config.bundle]) == 0
    printed = capsys.readouterr()
    assert "random" in printed.out and printed.err.startswith("transfer snake: ")
    assert transfer.main([*words, "--out", config.out, "--bundle", config.bundle]) == 0
    assert "trainings are done already" in capsys.readouterr().err
    assert transfer.main([*words, "--out", config.out + "2", "--bundle", "./nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--seeds", "1,1"], "seeds has one twice: 1, 1"),
        (["--seeds", "[]"], "seeds are one or more"),
        (["--episodes", "0"], "'episodes' got 0, expected 2 to 10000"),
        (["--bundle", "a", "--bundles", "b,c"], "give one of bundle and bundles"),
        (["--world-model-preset", "snok"], "did you mean 'snake"),
    ],
)
def test_wrong_settings_are_one_sentence(words, sentence, tmp_path, capsys):
    try:
        code = transfer.main(["snake", *words, "--out", str(tmp_path / "out")])
    except SystemExit as stop:
        code = stop.code
    assert code in (1, 2) and sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_all_are_measured_in_the_real_game_with_its_options_and_those_are_remembered(
    parts, config, monkeypatch
):
    recorded = []
    play = transfer.play_policy
    keep = lambda *words, **settings: (recorded.append(settings), play(*words, **settings))[1]  # noqa: E731
    monkeypatch.setattr(transfer, "play_policy", keep)
    monkeypatch.setattr(transfer, "game_actions", lambda game, **settings: 4)
    for options in ((), ("wrap=true",), ("wrap=true",)):
        run_transfer(dataclasses.replace(config, real_options=options))
    assert recorded == [{}] * 3 + [{"wrap": True}] * 3


def test_a_wrong_option_of_the_real_game_is_told_before_training(parts, config):
    with pytest.raises(ValueError, match="RealSnake-v0 cannot be made: unknown option 'levels'"):
        run_transfer(dataclasses.replace(config, real_options=("levels=test",)))
    assert parts.calls == []


def test_how_a_dream_is_cut_is_for_the_dream_and_leaves_the_real_half_alone(
    parts, config, monkeypatch
):
    run_transfer(config)
    (Path(config.out) / "dream" / "policy.zip").unlink()
    recorded = []

    def keep(run, kept):
        recorded.append((run.world, run.min_trust, run.starts, run.horizon))
        return parts.train(run)

    monkeypatch.setattr(transfer, "train_ppo", keep)
    run_transfer(dataclasses.replace(config, min_trust=0.7, starts="data/snake", horizon=16))
    assert recorded == [("dream", 0.7, "data/snake", 16)]


# ---------------------------------------------------------------- several world models


def two_bundles(tmp_path) -> tuple[str, str]:
    return make_bundle(tmp_path / "a", b"one"), make_bundle(tmp_path / "b", b"two")


def test_each_world_model_teaches_each_seed_and_the_real_game_each_seed_once(
    parts, config, tmp_path
):
    models = two_bundles(tmp_path)
    result = run_transfer(dataclasses.replace(three(config), bundle=None, bundles=models))
    assert parts.calls.count("train dream") == 6 and parts.calls.count("train real") == 3
    assert np.shape(result["dream"]["return_by_run"]) == (2, 3) and result["dream"]["runs"] == 6
    assert [row["bundle"] for row in result["world_models"]] == list(models)
    assert len(set(result["weights"])) == 2
    text = format_table(result)
    assert "over 2 world models and 3 PPO seeds" in text
    assert "spread between dream-trained runs: world models 0 %" in text


def test_a_seed_of_the_world_model_that_is_trained_is_taken_and_others_are_trained(
    parts, config, tmp_path, monkeypatch
):
    trained = []

    def train(run, load):
        trained.append((run.seed, run.out.name))
        make_bundle(run.out / "bundle", b"trained")

    monkeypatch.setattr(world_model_seeds, "train", train)
    model = dataclasses.replace(PRESETS["snake"](), out=tmp_path / "runs" / "snake", updates=10)
    make_bundle(tmp_path / "runs" / "snake-seed0" / "bundle", b"there", updates=10)
    run = dataclasses.replace(config, bundle=None, world_model_seeds=(0, 1), world_model=model)
    result = run_transfer(run)
    assert trained == [(1, "snake-seed1")] and parts.calls.count("train dream") == 2
    assert result["dream"]["return_ci"] is not None
    assert "over 2 world models (one PPO seed, whose spread is not in it)" in format_table(result)
    run_transfer(run)
    assert len(trained) == 1 and parts.calls.count("train dream") == 2


def test_a_bundle_that_is_given_twice_is_no_second_world_model(parts, config, tmp_path):
    twice = (make_bundle(tmp_path / "a"), make_bundle(tmp_path / "b"))
    with pytest.raises(ValueError, match="have the same weights"):
        run_transfer(dataclasses.replace(config, bundle=None, bundles=twice))


# ---------------------------------------------------------------- exploitation


def test_what_a_policy_earns_in_its_dream_is_reported_along_its_training(parts, config):
    result = run_transfer(three(config, exploitation_points=4))
    rows = result["exploitation"]["by_step"]
    assert len(rows) == 4 and rows[-1]["ratio"] == pytest.approx(2) and rows[0]["games"] == 96
    assert rows[-1]["ratio_ci"] == pytest.approx([2, 2])
    assert result["safe_horizon"] == 16
    assert "safe horizon (both within 20 % from the same starts): 16 steps" in format_table(result)
    for name in ("exploitation.png", "horizon.png"):
        assert (Path(config.out) / name).stat().st_size > 1000


def test_moments_that_are_played_are_not_played_again(parts, config):
    run = dataclasses.replace(config, exploitation_points=2)
    first = run_transfer(run)
    parts.calls.clear()
    assert run_transfer(run)["exploitation"] == first["exploitation"] and parts.calls == []
    run_transfer(dataclasses.replace(run, exploitation_episodes=40))
    assert parts.calls.count("play along in dream") == 2


def test_one_run_has_a_ratio_without_an_interval(parts, config):
    row = run_transfer(dataclasses.replace(config, exploitation_points=1))["exploitation"]
    assert row["by_step"][-1]["ratio"] == pytest.approx(2)
    assert row["by_step"][-1]["ratio_ci"] is None
