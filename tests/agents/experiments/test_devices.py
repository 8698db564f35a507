"""The device of an experiment is that of its agents' training, and of all that is dreamed."""

import numpy as np
import pytest

from agents.evaluation.play import Episodes
from agents.experiments import compare, demo, dyna, transfer, trust
from agents.experiments.compare_families import CompareConfig


class Begun(Exception):
    """A training was begun."""


CALLS = {
    demo: lambda out: demo.learn_and_measure(demo.DemoConfig(device="cuda", out=out)),
    compare: lambda out: compare.taught(CompareConfig(device="cuda"), "dream", None, out),
    dyna: lambda out: dyna.Loop(dyna.DynaConfig(device="cuda", out=out, seeds=(0,)), 0)._learn(
        1, "dream"
    ),
    trust: lambda out: trust.Experiment(trust.TrustConfig(device="cuda", out=out))._learned(
        None, 0
    ),
    transfer: lambda out: transfer.SeedWork(
        transfer.TransferConfig(device="cuda", out=out), 0
    ).train(transfer.Half("dream", "dream", None)),
}


@pytest.mark.parametrize("module", CALLS, ids=lambda module: module.__name__.split(".")[-1])
def test_agents_are_trained_on_the_device_of_the_experiment(module, monkeypatch, tmp_path):
    devices = []

    def begin(run, *arguments, **settings):
        devices.append(run.device)
        raise Begun

    monkeypatch.setattr(module, "train_ppo", begin)
    folder = tmp_path / "run"
    with pytest.raises(Begun):
        CALLS[module](folder if module is compare else str(folder))
    assert devices == ["cuda"]


def test_the_dreams_of_dyna_are_played_on_its_device_and_its_real_games_have_none(
    monkeypatch, tmp_path
):
    played = []

    def play(policy, env_id, episodes, seed, **settings):
        played.append(settings)
        return Episodes(*[np.zeros(1)] * 3)

    monkeypatch.setattr(dyna, "play_policy", play)
    config = dyna.DynaConfig(device="cuda", out=str(tmp_path / "run"), seeds=(0,))
    loop = dyna.Loop(config, 0)
    loop._play(None, "dream", tmp_path)
    loop._play(None, "real")
    assert played == [{"bundle": str(tmp_path), "device": "cuda"}, {}]


def test_trust_is_calibrated_on_the_device_of_the_experiment(monkeypatch, tmp_path):
    devices = []

    def measure(config):
        devices.append(config.device)
        raise Begun

    monkeypatch.setattr(trust, "evaluate_bundle", measure)
    with pytest.raises(Begun):
        trust.Experiment(trust.TrustConfig(device="cuda", out=str(tmp_path / "run")))._evaluate()
    assert devices == ["cuda"]
