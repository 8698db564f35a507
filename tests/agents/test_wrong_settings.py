"""Settings that no dream and no game can have are refused before anything is made."""

import pytest

from agents.benchmarks.bench import main as bench
from agents.benchmarks.bench_config import BenchConfig
from agents.envs import make_vector_env
from agents.experiments.compare_families import CompareConfig
from agents.experiments.demo import DemoConfig
from agents.experiments.transfer import TransferConfig
from agents.experiments.trust import TrustConfig
from agents.ppo.command import main
from agents.ppo.train import PPOConfig


@pytest.mark.parametrize("config", [PPOConfig, TransferConfig, TrustConfig])
@pytest.mark.parametrize("trust", [2.0, -0.1, float("nan")])
def test_a_trust_that_is_no_probability_is_refused(config, trust):
    with pytest.raises(ValueError, match=r"'min_trust' got .*; the nearest possible value|at most"):
        config(min_trust=trust)


COUNTS = {
    BenchConfig: ("rounds", "memory_lanes", "ppo_steps"),
    TrustConfig: ("frames", "steps", "episodes"),
    CompareConfig: ("transitions", "rollouts", "horizon", "episodes", "rounds"),
    DemoConfig: ("steps", "frames", "episodes"),
}


@pytest.mark.parametrize(
    ("config", "name"), [(config, name) for config, names in COUNTS.items() for name in names]
)
def test_a_count_of_nothing_is_refused_before_anything_is_made(config, name):
    with pytest.raises(ValueError, match=f"'{name}' got 0, expected [12] or more"):
        config(**{name: 0})


def test_no_time_to_learn_in_is_refused():
    with pytest.raises(ValueError, match="'seconds' got 0.0, expected more than 0"):
        DemoConfig(seconds=0.0)


@pytest.mark.parametrize("seeds", [(), (0, 0), (-1,)])
def test_an_experiment_has_seeds_and_each_once(seeds):
    with pytest.raises(ValueError, match="seeds are different whole numbers"):
        TrustConfig(seeds=seeds)


def test_a_benchmark_with_no_lane_is_refused():
    with pytest.raises(ValueError, match="backend_lanes are whole numbers from 1 on"):
        BenchConfig(backend_lanes=(1, 0))


def test_a_benchmark_of_an_unknown_preset_names_the_nearest_one_at_once(capsys):
    with pytest.raises(SystemExit) as stop:
        bench(["--preset", "snak"])
    assert stop.value.code == 2 and "did you mean 'snake'?" in capsys.readouterr().err


def test_a_command_refuses_it_as_a_wrong_command_line(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["snake", "--min_trust", "2"])
    assert stop.value.code == 2 and "at most 1" in capsys.readouterr().err


def test_an_unknown_option_of_a_game_is_a_sentence_with_the_nearest_name():
    with pytest.raises(ValueError, match="unknown option 'aples'; did you mean 'apples'?"):
        make_vector_env("collectors:RealSnake-v0", 1, aples=2)
