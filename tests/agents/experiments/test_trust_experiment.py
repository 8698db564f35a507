"""PPO in dreams that are truncated where their trust is low."""

import json
from dataclasses import replace

import pytest

from agents.envs import dream_settings, env_id, env_settings, make_vector_env
from agents.experiments import trust
from agents.ppo.presets import PPOSettings
from agents.ppo.vec_env import sb3_env

ROW = {"return_mean": 1.5, "return_ci": [1.0, 2.0]}


def test_a_dream_of_low_trust_is_truncated_and_its_value_bootstrapped():
    env = sb3_env(make_vector_env(env_id("snake", "dream"), 2, min_trust=1.0), 0)
    env.reset()
    _, _, dones, infos = env.step([0, 0])
    env.close()
    assert dones.all() and all(
        info["TimeLimit.truncated"] and "terminal_observation" in info for info in infos
    )


def test_the_real_game_takes_no_settings_of_dreams():
    with pytest.raises(ValueError, match="min_trust, max_episode_steps are for dreams"):
        env_settings("snake", "real", dreamed=dream_settings(0.5, "", 16))


def test_the_table_sets_real_returns_beside_dreamed_ones():
    result = {
        "without": {**ROW, "dreamed_return": [8.0, 10.0]},
        "with_min_trust": {**ROW, "dreamed_return": [None]},
    }
    lines = trust.format_table({**result, "random": ROW}).splitlines()
    assert lines[1].split() == ["without", "1.50", "1.00", "to", "2.00", "9.00"]
    assert lines[2].split()[-1] == lines[3].split()[-1] == "-"
    assert lines[4] == "one PPO run a line: 95 % over its games"
    several = {**result, "random": ROW, "without": {**result["without"], "by_seed": [1.0, 2.0]}}
    assert "over games, as if the 2 PPO runs" in trust.format_table(several)


def test_a_world_without_a_preset_is_refused(capsys):
    assert trust.main(["chess"]) == 1
    assert "unknown training preset 'chess'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_experiment_runs_from_random_play_to_the_real_game_and_is_not_repeated(tmp_path):
    small = PPOSettings(num_envs=4, n_steps=8, batch_size=16, n_epochs=1)
    few = replace(trust.few_updates("snake"), updates=2, validate_every=1, threads=1)
    run = {
        "frames": 600,
        "steps": 64,
        "seeds": (0,),
        "episodes": 2,
        "real_options": ("grid_size=8",),
    }
    config = trust.TrustConfig(**run, out=str(tmp_path), ppo=small, world_model=few)
    result = trust.Experiment(config).run()
    assert {"without", "with_min_trust", "random", "trust"} <= set(result)
    assert (tmp_path / "model" / "bundle" / "trust.npz").is_file() and "auroc_distance" in result[
        "trust"
    ]
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("ppo*/policy.zip")}
    assert len(times) == 2 and json.loads((tmp_path / "trust.json").read_text()) == result
    again = trust.Experiment(config).run()
    assert again == result and {path: path.stat().st_mtime_ns for path in times} == times
