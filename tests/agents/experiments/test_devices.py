"""The device of an experiment is that of its agents' training, and of all that is dreamed."""

from pathlib import Path

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


RUN = {
    demo: lambda out: demo.run(demo.DemoConfig(device="nosuch", out=out)),
    compare: lambda out: compare.compare(CompareConfig(device="nosuch", out=out)),
    dyna: lambda out: dyna.run_dyna(dyna.DynaConfig(device="nosuch", out=out)),
    trust: lambda out: trust.Experiment(trust.TrustConfig(device="nosuch", out=out)).run(),
}


@pytest.mark.parametrize("module", RUN, ids=lambda module: module.__name__.split(".")[-1])
def test_a_device_that_is_not_here_is_refused_before_anything_is_collected(
    module, monkeypatch, tmp_path
):
    monkeypatch.setattr(compare, "resolved", lambda config: config)
    with pytest.raises(ValueError, match="cannot use device 'nosuch'"):
        RUN[module](str(tmp_path / "run"))


LEARN = {
    dyna: lambda run: dyna.Loop(dyna.DynaConfig(**run), 0)._learn(1, "dream"),
    transfer: lambda run: transfer.SeedWork(transfer.TransferConfig(**run), 0).train(
        transfer.Half("dream", "dream", None)
    ),
}


@pytest.mark.parametrize("module", LEARN, ids=lambda module: module.__name__.split(".")[-1])
def test_agents_learn_by_the_backend_of_the_experiment_and_go_on_by_another(
    module, monkeypatch, tmp_path
):
    backends = []

    def learn(run, *arguments, **settings):
        backends.append(run.backend)
        Path(run.out).mkdir(parents=True, exist_ok=True)
        (Path(run.out) / module.POLICY_FILE).write_bytes(b"")

    monkeypatch.setattr(module, "train_ppo", learn)
    for backend in ("eager", "auto"):  # it decides no result, so what is done stays done
        LEARN[module]({"backend": backend, "out": str(tmp_path / "run"), "seeds": (0,)})
    assert backends == ["eager"]


@pytest.mark.parametrize("config", [dyna.DynaConfig, transfer.TransferConfig])
def test_a_backend_that_there_is_not_is_refused(config):
    assert config().backend == "auto"
    with pytest.raises(ValueError, match="'backend'.*did you mean 'onnx'"):
        config(backend="onx")


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
