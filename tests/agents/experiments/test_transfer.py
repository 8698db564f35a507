import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from agents.evaluation.play import Episodes
from agents.experiments import transfer
from agents.experiments.stages import StageError
from agents.experiments.transfer import (
    TransferConfig,
    run_transfer,
    transfer_interval,
    transfer_score,
)

RETURNS = {"dream": 7.0, "real": 9.0, "random": -1.0}
KEYS = {"return_mean", "return_ci", "apples_mean", "apples_ci", "length_mean", "episodes"}


def episodes(mean: float, count: int = 100) -> Episodes:
    spread = np.linspace(-1, 1, count)
    return Episodes(mean + spread, np.full(count, 3), np.full(count, 50))


@pytest.fixture
def trained(monkeypatch, tmp_path) -> list[str]:
    """Replace training and playing by stubs; the list says what was trained and played, in
    order.
    """
    calls: list[str] = []

    def train(run):
        calls.append(f"train {run.world}")
        path = Path(run.out) / "policy.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(run.world)
        return path

    def play(policy, env_id, count, seed, **settings):
        assert env_id == "collectors:RealSnake-v0"
        calls.append(f"play {policy}")
        return episodes(RETURNS[policy], count)

    monkeypatch.setattr(transfer, "train_ppo", train)
    monkeypatch.setattr(transfer, "play_policy", play)
    monkeypatch.setattr(transfer, "load_policy", lambda path: Path(path).read_text())
    monkeypatch.setattr(transfer, "make_policy", lambda name, actions: name)
    return calls


@pytest.fixture
def config(tmp_path) -> TransferConfig:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "config.json").write_text("{}")
    (bundle / "model.safetensors").write_bytes(b"weights")
    return TransferConfig(
        "snake", steps=1000, episodes=100, out=str(tmp_path / "out"), bundle=str(bundle)
    )


def test_transfer_is_the_share_of_the_real_learning():
    assert transfer_score(dream=7, real=9, random=-1) == pytest.approx(0.8)
    assert transfer_score(dream=-1, real=9, random=-1) == 0
    assert np.isnan(transfer_score(dream=5, real=1, random=1))


def test_the_interval_holds_the_score_and_follows_the_spread():
    narrow = transfer_interval({name: episodes(mean).returns for name, mean in RETURNS.items()})
    wide = transfer_interval({name: episodes(mean, 10).returns for name, mean in RETURNS.items()})
    assert narrow[0] < 0.8 < narrow[1]
    assert wide[1] - wide[0] > narrow[1] - narrow[0]


def test_the_report_has_every_key_and_is_what_was_written(trained, config):
    result = run_transfer(config)
    assert json.loads((Path(config.out) / "transfer.json").read_text()) == result
    assert all(set(result[name]) == KEYS for name in ("dream", "real", "random"))
    assert result["transfer"] == pytest.approx(0.8) and result["budget_steps"] == 1000
    assert {"transfer_ci", "seconds_dream", "seconds_real"} <= set(result)
    assert "transfer 0.800" in transfer.format_table(result)


def test_a_finished_half_is_not_trained_again(trained, config):
    first = run_transfer(config)
    (Path(config.out) / "real" / "policy.zip").unlink()
    trained.clear()
    assert run_transfer(config)["transfer"] == first["transfer"]
    assert trained == ["train real"]


def test_more_episodes_are_played_with_the_policies_that_are_there(trained, config):
    run_transfer(config)
    trained.clear()
    assert run_transfer(dataclasses.replace(config, episodes=200))["dream"]["episodes"] == 200
    assert trained == ["play dream", "play real", "play random"]


def test_other_settings_or_another_model_are_refused(trained, config):
    run_transfer(config)
    with pytest.raises(StageError, match="'dream/train' with steps=1000, not 2000"):
        run_transfer(dataclasses.replace(config, steps=2000))
    (Path(config.bundle) / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(StageError, match="'dream/train' with model="):
        run_transfer(config)


def test_several_seeds_each_have_a_folder_and_one_report(trained, config):
    result = run_transfer(dataclasses.replace(config, seeds=(3, 5)))
    root = Path(config.out)
    assert json.loads((root / "transfer.json").read_text()) == result
    assert (root / "seed_3" / "dream" / "policy.zip").is_file() and (
        root / "seed_5" / "transfer.json"
    ).is_file()
    assert result["dream"]["episodes"] == 200 and result["transfer"] == pytest.approx(0.8)
    assert list(result["seeds"]) == ["3", "5"] and result["seeds"]["3"][
        "transfer"
    ] == pytest.approx(0.8)
    assert trained.count("train dream") == trained.count("train real") == 2
    assert "transfer 0.800" in transfer.format_table(result)


def test_seeds_that_disagree_widen_the_interval():
    same = [{name: episodes(mean).returns for name, mean in RETURNS.items()}] * 2
    apart = [{**same[0], "dream": episodes(dream).returns} for dream in (5.0, 9.0)]
    narrow, wide = transfer.seeds_interval(same), transfer.seeds_interval(apart)
    assert narrow[0] < 0.8 < narrow[1] and wide[0] < 0.65 and wide[1] > 0.95


def test_a_half_that_an_older_version_made_is_not_trained_again(trained, config):
    run_transfer(config)
    record = Path(config.out) / "state.json"
    state = json.loads(record.read_text())
    for half in ("dream/train", "real/train"):
        del state["done"][half]["settings"]["ppo.stack"]
        del state["done"][half]["settings"]["save_every"]
    record.write_text(json.dumps(state))
    trained.clear()
    run_transfer(config)
    assert trained == []
    with pytest.raises(StageError, match="ppo.stack=1, not 4"):
        run_transfer(dataclasses.replace(config, ppo=dataclasses.replace(config.ppo, stack=4)))


def test_other_worlds_do_not_pick_apples(trained, config, monkeypatch):
    monkeypatch.setattr(
        transfer,
        "play_policy",
        lambda policy, env_id, count, seed: episodes(RETURNS[policy], count),
    )
    monkeypatch.setattr(transfer, "action_count", lambda identifier: 3)
    result = run_transfer(dataclasses.replace(config, name="pong"))
    assert "points_mean" in result["dream"] and "apples_mean" not in result["dream"]
    assert "points" in transfer.format_table(result)


def test_the_command_prints_the_table_and_a_missing_bundle_is_one_sentence(trained, config, capsys):
    assert (
        transfer.main(["snake", "--out", config.out, "--bundle", config.bundle, "--steps", "1000"])
        == 0
    )
    assert "random" in capsys.readouterr().out
    assert transfer.main(["snake", "--out", config.out + "2", "--bundle", "./nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_a_score_that_there_is_not_is_null_in_the_file_and_a_sentence_in_the_table(
    trained, config, monkeypatch
):
    level = Episodes(np.ones(100), np.full(100, 3), np.full(100, 50))
    monkeypatch.setattr(transfer, "play_policy", lambda *words, **settings: level)
    result = run_transfer(config)
    assert result["transfer"] is None and result["transfer_ci"] == [None, None]
    written = (Path(config.out) / "transfer.json").read_text()
    assert "NaN" not in written and json.loads(written)["transfer"] is None
    assert "the real game taught nothing" in transfer.format_table(result)


def test_all_are_measured_in_the_real_game_with_its_options_and_those_are_remembered(
    trained, config, monkeypatch
):
    recorded = []
    play = transfer.play_policy
    keep = lambda *words, **settings: (recorded.append(settings), play(*words, **settings))[1]  # noqa: E731
    monkeypatch.setattr(transfer, "play_policy", keep)
    monkeypatch.setattr(transfer, "action_count", lambda game, **settings: 4)
    for options in ((), ("wrap=true",), ("wrap=true",)):
        run_transfer(dataclasses.replace(config, real_options=options))
    assert recorded == [{}] * 3 + [{"wrap": True}] * 3


def test_a_wrong_option_of_the_real_game_is_told_before_training(trained, config):
    with pytest.raises(ValueError, match="RealSnake-v0 cannot be made with .*'levels': 'test'"):
        run_transfer(dataclasses.replace(config, real_options=("levels=test",)))
    assert trained == []


def test_how_a_dream_is_cut_is_for_the_dream_and_leaves_the_real_half_alone(
    trained, config, monkeypatch
):
    run_transfer(config)
    (Path(config.out) / "dream" / "policy.zip").unlink()
    recorded, train = [], transfer.train_ppo

    def keep(run):
        recorded.append((run.world, run.min_trust, run.starts, run.horizon))
        return train(run)

    monkeypatch.setattr(transfer, "train_ppo", keep)
    run_transfer(dataclasses.replace(config, min_trust=0.7, starts="data/snake", horizon=16))
    assert recorded == [("dream", 0.7, "data/snake", 16)]
