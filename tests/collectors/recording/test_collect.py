"""Collecting: the same data whatever the number of workers and however often it was killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from collectors.dataset.dataset import Dataset, DatasetError
from collectors.policies.policies import RandomPolicy
from collectors.recording.collect import collect, main
from collectors.recording.named_game import read_options

ROOT = Path(__file__).resolve().parents[3]


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(path.iterdir())}


def test_the_data_do_not_depend_on_the_number_of_workers(tmp_path):
    for workers in (1, 3):
        collect(
            "RealSnake-v0",
            tmp_path / str(workers),
            500,
            "mix",
            workers=workers,
            seed=5,
            shard_steps=120,
        )
    assert contents(tmp_path / "1") == contents(tmp_path / "3")


def test_a_killed_collector_leaves_a_dataset_that_opens_and_resumes_to_the_same_result(
    tmp_path, capsys
):
    out, settings = tmp_path / "killed", ["snake", "--frames=6000", "--shard-steps=600", "--seed=2"]
    command = [
        sys.executable,
        "-m",
        "collectors.recording.collect",
        *settings,
        "--workers=2",
        f"--out={out}",
    ]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 60
    while not list(out.glob("shard_*_rewards.npy")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.5)  # its workers notice and end
    before = Dataset(out, verify=True)
    assert 0 <= before.steps < 6000
    assert main([*settings, f"--out={out}"]) == 1 and "--resume" in capsys.readouterr().err
    assert main([*settings, f"--out={out}", "--workers=1", "--resume"]) == 0
    collect("RealSnake-v0", tmp_path / "whole", 6000, "mix", seed=2, shard_steps=600)
    assert contents(out) == contents(tmp_path / "whole")


def test_resuming_with_more_frames_gives_what_collecting_them_at_once_gives(tmp_path):
    collect("RealSnake-v0", tmp_path / "grown", 250, "sticky", seed=1, shard_steps=100)
    collect("RealSnake-v0", tmp_path / "grown", 420, "sticky", seed=1, shard_steps=100, resume=True)
    collect("RealSnake-v0", tmp_path / "whole", 420, "sticky", seed=1, shard_steps=100)
    assert contents(tmp_path / "grown") == contents(tmp_path / "whole")
    with pytest.raises(DatasetError, match="more frames"):
        collect(
            "RealSnake-v0", tmp_path / "grown", 200, "sticky", seed=1, shard_steps=100, resume=True
        )


def test_resuming_plays_a_damaged_shard_again_and_no_other(tmp_path):
    dataset = collect("RealSnake-v0", tmp_path / "d", 300, "sticky", seed=1, shard_steps=100)
    whole, kept = (
        contents(tmp_path / "d"),
        (tmp_path / "d" / "shard_000000_frames.npy").stat().st_mtime_ns,
    )
    (tmp_path / "d" / "shard_000001_frames.npy").write_bytes(b"torn")
    again = collect(
        "RealSnake-v0", tmp_path / "d", 300, "sticky", seed=1, shard_steps=100, resume=True
    )
    assert contents(tmp_path / "d") == whole and again.fingerprint == dataset.fingerprint
    assert (tmp_path / "d" / "shard_000000_frames.npy").stat().st_mtime_ns == kept


@pytest.mark.parametrize(
    "change", [{"seed": 2}, {"policy": "random"}, {"env_options": {"apples": 2}}]
)
def test_a_dataset_of_other_settings_is_never_mixed(tmp_path, change):
    settings = {"policy": "sticky", "seed": 1, "shard_steps": 100}
    collect("RealSnake-v0", tmp_path / "d", 100, **settings)
    before = contents(tmp_path / "d")
    with pytest.raises(DatasetError, match="was collected with another"):
        collect("RealSnake-v0", tmp_path / "d", 100, **{**settings, **change}, resume=True)
    assert contents(tmp_path / "d") == before


def test_a_directory_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(DatasetError, match="not a dataset"):
        collect("RealSnake-v0", tmp_path, 100, "random")
    assert contents(tmp_path) == {"letter.txt": b"dear"}


def test_any_callable_policy_collects_and_steps_are_reported(tmp_path):
    reported = []
    dataset = collect(
        "RealSnake-v0",
        tmp_path / "d",
        200,
        RandomPolicy(4),
        shard_steps=100,
        report=reported.append,
    )
    assert sum(reported) == dataset.steps >= 200 and {row.policy for row in dataset.episodes} == {
        "random"
    }


def test_the_command_writes_a_dataset_with_the_games_options_and_refuses_wrong_ones(
    tmp_path, capsys
):
    words = ["snake", "--frames", "50", "--policy", "random", "--workers", "1"]
    assert (
        main([*words, "--out", str(tmp_path / "d"), "--options", "grid_size=8,start=centre"]) == 0
    )
    dataset = Dataset(tmp_path / "d")
    assert dataset.spec["frame_shape"] == [32, 32, 3] == list(dataset.shards[0].frames.shape[1:])
    assert dataset.fingerprint[:16] in capsys.readouterr().out
    assert read_options(("wrap=true", "start=centre")) == {"wrap": True, "start": "centre"}
    assert main([*words, "--out", str(tmp_path / "e"), "--options", "colour=3"]) == 1
    shown = capsys.readouterr().err
    assert "unknown option 'colour'; there are grid_size, wrap" in shown and "kwarg" not in shown
    with pytest.raises(SystemExit) as stop:
        main([*words, "--frames", "0"])
    assert stop.value.code == 2


def test_an_unknown_world_is_refused_with_the_nearest_one(tmp_path, capsys):
    assert main(["snak", "--frames=10", f"--out={tmp_path / 'd'}"]) == 1
    assert "unknown world 'snak'; did you mean 'snake'?" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()
