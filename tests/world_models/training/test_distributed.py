"""Several processes learn what one learns. The test that starts them is marked `distributed`."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from two_processes import config_for, watch

from collectors.dataset.dataset import Dataset
from world_models.models.tokens_config import TokensConfig
from world_models.networks.masked_tokens import MaskedTokensConfig
from world_models.networks.tokenizer import TokenizerConfig
from world_models.training.config import TrainingError
from world_models.training.trainer import Trainer

HERE = Path(__file__).resolve().parent


def run_two(data, out, parts):
    path = os.pathsep.join([str(HERE.parents[2]), str(HERE.parent), str(HERE)])
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words += [str(HERE / "two_processes.py"), str(data), str(out), str(parts)]
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [torch.load(out / f"rank{rank}.pt") for rank in range(2)]
    assert [(found["rank"], found["count"]) for found in ranks] == [(0, 2), (1, 2)]
    return ranks


@pytest.mark.distributed
@pytest.mark.timeout(600)
@pytest.mark.parametrize("parts", [2, 4])
def test_two_processes_have_the_same_weights_and_learn_what_one_learns(
    dataset_path, tmp_path, parts
):
    first, second = run_two(dataset_path, tmp_path / "two", parts)
    for name, value in first["model"].items():
        assert torch.equal(value, second["model"][name]), name
    assert all(
        torch.equal(value, second["average"][name]) for name, value in first["average"].items()
    )
    assert first["losses"] == second["losses"] and len(first["losses"]) == 4
    alone = watch(config_for(dataset_path, tmp_path / "one", parts))
    for mine, theirs in zip(alone["losses"], first["losses"], strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-6)
    for name, value in alone["model"].items():
        torch.testing.assert_close(value, first["model"][name], rtol=1e-4, atol=1e-5)
    metrics = (tmp_path / "two" / "metrics.csv").read_text().splitlines()
    assert len(metrics) == 3  # only one process writes
    for path in (tmp_path / "two").glob("checkpoint_0000004.pt"):
        path.unlink()
    again = run_two(dataset_path, tmp_path / "two", parts)  # goes on from update 2
    assert len(again[0]["losses"]) == 2
    for found in again:
        assert all(
            torch.equal(value, found["model"][name]) for name, value in first["model"].items()
        )


def test_the_processes_parts_are_together_the_batch_of_one(dataset_path, tmp_path):
    config = replace(config_for(dataset_path, tmp_path, 4), prefetch=0)
    trainer = Trainer(config, Dataset(dataset_path))
    whole = trainer.draw(trainer.training_clips, 8, np.random.default_rng(5))
    found = []
    for own in (range(2), range(2, 4)):
        trainer.own_parts = own
        parts = trainer.draw_parts(np.random.default_rng(5))
        assert [len(part.frames) for part in parts] == [2, 2]
        found += [part.frames for part in parts]
    assert torch.equal(torch.cat(found), whole.frames)


def test_a_batch_in_parts_has_the_mean_gradient_of_its_parts(dataset_path, tmp_path):
    config = replace(config_for(dataset_path, tmp_path, 2), noise=0.0, damage=0.0)
    trainer = Trainer(config, Dataset(dataset_path))
    trainer.part_generators = lambda: [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    clips = trainer.prefetcher.next()
    trainer.compute_gradients(clips, 0.0)
    together = [p.grad.clone() for p in trainer.model.parameters()]
    alone = []
    for number, part in enumerate(clips):
        trainer.parts, trainer.part_generators = (
            1,
            lambda n=number: [torch.Generator().manual_seed(n + 1)],
        )
        trainer.compute_gradients([part], 0.0)
        alone.append([p.grad.clone() for p in trainer.model.parameters()])
    for whole, first, second in zip(together, *alone, strict=True):
        torch.testing.assert_close(whole, (first + second) / 2, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"batch_size": 9, "gradient_accumulation": 2},
            "batch_size=9 cannot be cut into 2 equal parts; take 8",
        ),
        ({"cuda_graphs": True, "gradient_accumulation": 1}, "cuda_graphs=true needs a CUDA card"),
        ({"device": "cuda:7"}, "try device=cpu"),
    ],
)
def test_what_cannot_be_done_here_is_refused_with_the_remedy(
    dataset_path, tmp_path, changes, message
):
    with pytest.raises(TrainingError, match=message):
        Trainer(replace(config_for(dataset_path, tmp_path, 1), **changes), Dataset(dataset_path))


def test_parts_that_the_processes_cannot_share_are_refused(dataset_path, tmp_path):
    trainer = Trainer(config_for(dataset_path, tmp_path, 1), Dataset(dataset_path))
    trainer.processes.count, trainer.processes.rank = 2, 1
    assert trainer.processes.share(8, 1) == (2, range(1, 2), 4)
    assert trainer.processes.share(8, 4) == (4, range(2, 4), 2)
    with pytest.raises(TrainingError, match="gradient_accumulation=3 .* 2 processes; take"):
        trainer.processes.share(12, 3)


TOKENS = TokensConfig(
    TokenizerConfig("fsq", 4, (4, 4), width=8, encoder_depth=1, decoder_depth=1),
    MaskedTokensConfig(8, 4, 1, 1, copy=(0,)),
    context_length=2,
    tokenizer_share=0.3,
)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("model", [None, TOKENS], ids=["chance", "tokens"])
def test_compiled_losses_are_those_of_plain_ones(dataset_path, tmp_path, model):
    runs = []
    for compile_them in (False, True):
        config = replace(config_for(dataset_path, tmp_path, 1), compile=compile_them)
        config = config if model is None else replace(config, model=model)
        trainer = Trainer(config, Dataset(dataset_path))
        runs.append([trainer.step() for _ in range(3)])
    for plain, compiled in zip(*runs, strict=True):
        assert compiled == pytest.approx(plain, rel=1e-3, abs=1e-5)
