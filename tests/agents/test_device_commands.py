"""Every command that learns or measures, once from end to end with `--device`: on a card where
there is one (`python -m pytest -m gpu`), else slowly on the processor.
"""

from __future__ import annotations

import json

import pytest
import torch

from agents.envs import env_id
from collectors.recording.collect import collect
from neural_envs import cli

PPO = ("ppo.num_envs=4", "ppo.n_steps=8", "ppo.batch_size=16", "ppo.n_epochs=1")
MODEL = ("updates=2", "validate_every=2", "validation_batches=1", "contexts=8", "threads=1")
WORLD_MODEL = tuple(f"world_model.{word}" for word in MODEL)
EVALUATION = (
    *("--transitions", "40", "--random-actions", "20", "--rollouts", "2", "--horizon", "8"),
    *("--kid-frames", "0", "--game-lanes", "2", "--game-steps", "6", "--minutes", "0"),
    *("--survival-steps", "10", "--survival-lanes", "2", "--trust-transitions", "64"),
    *("--control-clips", "8", "--decision-states", "2", "--probe-transitions", "200"),
)
EXPLOITATION = ("--exploitation-points", "1", "--exploitation-episodes", "2")
TRIES = ("--steps", "64", "--episodes", "2", "--seeds", "0")
COMMANDS = {  # words, with the folder of what was recorded in DATA, and the file that is written
    "train": ("train snake data=DATA out=OUT " + " ".join(MODEL), "bundle/config.json"),
    "ppo": ("ppo snake --world dream --steps 64 --out OUT", "policy.zip"),
    "ppo torch": ("ppo snake --world dream --learner torch --steps 64 --out OUT", "policy.zip"),
    "transfer": ("transfer snake --out OUT " + " ".join((*TRIES, *EXPLOITATION)), "transfer.json"),
    "transfer in trained dreams": (
        "transfer snake --world-model-seeds 0,1 --exploitation-points 0 --out OUT "
        + " ".join((*TRIES, "world_model.data=DATA", *WORLD_MODEL, "world_model.out=OUT/run")),
        "transfer.json",
    ),
    "dyna": (
        "dyna snake --rounds 1 --frames 800 --fine-tune 2 --real-options grid_size=8 --out OUT "
        + " ".join((*TRIES, *WORLD_MODEL)),
        "dyna.json",
    ),
    "trust": (
        "trust snake --frames 600 --real-options grid_size=8 --out OUT "
        + " ".join((*TRIES, *WORLD_MODEL)),
        "trust.json",
    ),
    "evaluate": (
        "evaluate snake --data DATA --no-ranking --out OUT " + " ".join(EVALUATION),
        "evaluation.json",
    ),
    "compare": (
        "compare snake --budget 0.02 --families chance,edm --data DATA --transitions 20 "
        "--rollouts 2 --horizon 4 --survival-steps 5 --ppo-steps 64 --episodes 2 --seconds 0 "
        "--rounds 1 --out OUT",
        "compare.json",
    ),
    "bench": (
        "bench --bundles snake --lanes 1 --sampler-steps 1 --diamond-lanes 1 --snake-unet-lanes [] "
        "--rounds 1 --seconds 0 --backends auto --backend-lanes 1 --data DATA --memory-lanes 2 "
        "--ppo --ppo-steps 64 --out OUT/bench.json",
        "bench.json",
    ),
    "demo": ("demo snake --seconds 2 --frames 8 --episodes 2 --out OUT", "strip.png"),
}
SETTINGS_OF_PPO = ("ppo", "ppo torch", "transfer", "transfer in trained dreams", "dyna", "trust")
DEVICES = [
    pytest.param("cpu", marks=pytest.mark.slow),
    pytest.param("cuda", marks=pytest.mark.gpu),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("devices") / "snake"
    collect("RealSnake-v0", path, 2000, policy="mix", seed=3, shard_steps=1000)
    return path


@pytest.mark.timeout(600)
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_works_on_a_device_from_end_to_end(name, device, data, tmp_path, monkeypatch):
    text, product = COMMANDS[name]
    out = tmp_path / "out"
    words = text.replace("DATA", str(data)).replace("OUT", str(out)).split()
    words += PPO if name in SETTINGS_OF_PPO else ()
    words += [f"device={device}"] if name == "train" else ["--device", device]
    monkeypatch.setenv("NEURAL_ENVS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    if name == "bench":
        out.mkdir()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    assert cli.main(words) == 0
    made = out / product
    assert made.is_file() and (made.suffix != ".json" or json.loads(made.read_text()))
    if device == "cuda":
        assert torch.cuda.max_memory_allocated() > 2**20  # the card did something


@pytest.mark.timeout(600)
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "preset", ["pong", "pong-sprites", "pong-chance", "worldmap", "any-tokens"]
)
def test_a_preset_trains_on_a_device_in_the_precision_that_it_takes_there(preset, device, tmp_path):
    # as Snake's above; on a card networks run under autocast, which refuses some losses
    world = preset.partition("-")[0].replace("any", "pong")
    collect(env_id(world, "real"), tmp_path / "data", 20_000, policy="mix", shard_steps=5_000)
    out = tmp_path / "out"
    places = (f"data={tmp_path / 'data'}", f"out={out}", f"device={device}")
    assert cli.main(["train", preset, *places, *MODEL]) == 0
    assert (out / "bundle" / "config.json").is_file()
