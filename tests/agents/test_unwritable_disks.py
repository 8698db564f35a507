"""Whichever write a full or read-only disk refuses, a command ends with one sentence that names
the path and the remedy, leaves no partial file, and the same command works later.
"""

import errno
import os
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from agents.evaluation import evaluate, play
from agents.evaluation.game import Games
from agents.evaluation.play import Episodes
from agents.experiments import dyna, dyna_report, transfer
from collectors import files, video_writers
from collectors.dataset import stats
from collectors.dataset.shards import NOTE
from collectors.recording.collect import collect
from world_models.evaluation.evaluation import Evaluation

REMEDIES = {
    errno.ENOSPC: ("No space left on device", "make room"),
    errno.EROFS: ("Read-only file system", "on a disk that can be written"),
}


@dataclass
class Disk:
    """Takes writes until `left` of them are done, then refuses all with `number`; 0: takes all."""

    number: int = 0
    left: int = 0

    def fsync(self, descriptor: int) -> None:
        self.left -= 1
        if self.number and self.left < 0:
            raise OSError(self.number, os.strerror(self.number))


@pytest.fixture
def disk(monkeypatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(files.os, "fsync", disk.fsync)
    return disk


@pytest.fixture
def little_work(monkeypatch):
    """Doubles of what takes time; all that writes the results is real."""

    def train_ppo(run, **_):
        return files.write_atomically(f"{run.out}/policy.zip", run.world)

    def play_policy(policy, game, count, seed, **_):
        return Episodes(np.linspace(0, 1, count), np.ones(count, int), np.ones(count, int))

    for module in (dyna, transfer):
        monkeypatch.setattr(module, "train_ppo", train_ppo)
        monkeypatch.setattr(module, "play_policy", play_policy)
        monkeypatch.setattr(module, "load_policy", lambda path: None)
        monkeypatch.setattr(module, "make_policy", lambda *_: None)
    monkeypatch.setattr(dyna, "train", lambda run, load: run.out / "bundle")
    monkeypatch.setattr(dyna, "Explorer", lambda *_: "random")
    monkeypatch.setattr(play, "RESAMPLES", 20)
    for module in (dyna_report, transfer, evaluate):
        monkeypatch.setattr(module, "how_made", lambda *_: {})  # it asks git, which is slow
    film = torch.zeros(1, 2, 32, 32, 3, dtype=torch.uint8)
    rollouts = SimpleNamespace(real_running=torch.ones(1, 2), real_frames=film, frames=film)
    figures = {"rollout": {"curves": {"random": {"psnr": [30.0, 20.0], "ssim": [0.9, 0.8]}}}}
    runs = SimpleNamespace(rollouts=rollouts, closed={"astar": SimpleNamespace(frames=film[0])})
    depth = {1: SimpleNamespace(frames=film[0].numpy())}
    games = Games({}, {}, {}, {"astar": (SimpleNamespace(deep=depth),) * 2})
    measured = Evaluation(figures, runs, None), games
    monkeypatch.setattr(evaluate, "_measure", lambda *_: measured)
    monkeypatch.setattr(evaluate, "card_scores", lambda *_: {})
    monkeypatch.setattr(evaluate, "game_table", lambda *_: "")
    monkeypatch.setitem(video_writers.WRITERS, ".mp4", video_writers.GIFWriter)  # ffmpeg is slow


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "snake"
    collect("RealSnake-v0", path, 200, policy="random", seed=0, shard_steps=200)
    return path


COMMANDS = {
    "stats": (stats.main, ["{data}", "--sheet={out}/sheet.png", "--episodes=1", "--columns=2"]),
    "evaluate": (evaluate.main, ["snake", "--data={data}", "--out={out}"]),
    "transfer": (
        transfer.main,
        ["snake", "--seeds=0,1", "--episodes=4", "--exploitation-points=0", "--out={out}"],
    ),
    "dyna": (
        dyna.main,
        ["snake", "--seeds=0", "--rounds=1", "--frames=50", "--episodes=4", "--out={out}"],
    ),
}
WRITES = {"stats": 1, "evaluate": 8, "transfer": 12, "dyna": 10}  # at least


@pytest.mark.parametrize("number", REMEDIES)
@pytest.mark.parametrize("verb", COMMANDS)
def test_a_command_that_the_disk_refuses_is_a_sentence_and_leaves_no_partial_file(
    verb, number, disk, little_work, data, tmp_path, capsys
):
    main, template = COMMANDS[verb]
    done = 0
    while True:
        out = tmp_path / str(done)
        words = [word.format(data=data, out=out) for word in template]
        disk.number, disk.left = number, done
        if main(words) == 0:
            break
        *before, text = capsys.readouterr().err.splitlines()
        reason, remedy = REMEDIES[number]
        assert text.startswith(f"neural-envs {verb}: "), text
        started = before and before[0].startswith((f"{verb} ", "evaluating ", "transfer "))
        assert len(before) == bool(started), before  # the start line and nothing else
        assert str(out) in text and remedy in text, text
        assert reason in text or "is full" in text, text
        assert "--resume" not in text, "none of these commands has it"
        left = [path for path in out.rglob("*") if path.is_file()]
        assert all(path.stat().st_size for path in left), left
        hidden = [path for path in out.rglob(".*") if not (path / NOTE).is_file()]
        assert not hidden, left  # a whole shard waits for its place, with a note that it is whole
        done += 1
        disk.number = 0
        if done % 4 == 0:
            assert main(words) == 0, "the same command goes on"
            capsys.readouterr()
    assert done >= WRITES[verb]
