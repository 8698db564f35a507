"""Settings that no dream and no game can have are refused before anything is made."""

import pytest

from agents.envs import make_vector_env
from agents.experiments.transfer import TransferConfig
from agents.experiments.trust import TrustConfig
from agents.ppo.command import main
from agents.ppo.train import PPOConfig


@pytest.mark.parametrize("config", [PPOConfig, TransferConfig, TrustConfig])
@pytest.mark.parametrize("trust", [2.0, -0.1, float("nan")])
def test_a_trust_that_is_no_probability_is_refused(config, trust):
    with pytest.raises(ValueError, match=r"'min_trust' got .*; the nearest possible value|at most"):
        config(min_trust=trust)


def test_a_command_refuses_it_as_a_wrong_command_line(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["snake", "--min_trust", "2"])
    assert stop.value.code == 2 and "at most 1" in capsys.readouterr().err


def test_an_unknown_option_of_a_game_is_a_sentence_with_the_nearest_name():
    with pytest.raises(ValueError, match="unknown option 'aples'; did you mean 'apples'?"):
        make_vector_env("collectors:RealSnake-v0", 1, aples=2)
