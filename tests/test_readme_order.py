"""The README's commands, then those of the quickstart, in the order given, in one folder and with
tiny budgets: what one leaves is no obstacle to the next. `make first-hour` runs it.
"""

from __future__ import annotations

import json
import shlex

import pytest

from neural_envs.cli import main
from tests.test_readme import README, commands

# what makes a verb small; of `serve`, a page that is opened and left again
TINY = {
    "serve": "--load-test 1 --seconds 0.2 --port 0",
    "collect": "--frames 6000 --shard-steps 500",
    "train": (
        "updates=2 batch_size=2 validation_batches=1 contexts=4 model.grid.width=16 "
        "model.grid.encoder_depth=1"
    ),
    "evaluate": "--quick --minutes 0.05",
    "ppo": "--steps 64 --games 1 --film 2 ppo.num_envs=2 ppo.n_steps=16 ppo.batch_size=16",
    "transfer": (
        "--steps 64 --episodes 2 --seeds 0,1 --exploitation-points 1 --exploitation-episodes 2 "
        "ppo.num_envs=2 ppo.n_steps=16 ppo.batch_size=16"
    ),
    "play": "--max-steps 2",
}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_commands_run_in_the_order_given(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    for line in [*commands(README), *commands("docs/quickstart.md")]:
        verb, *words = shlex.split(line)[1:]
        assert main([verb, *words, *shlex.split(TINY[verb])]) == 0, (line, capsys.readouterr().err)
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json")}
    assert {"evaluation/runs-snake/evaluation.json", "runs/transfer/snake/transfer.json"} <= written
    assert (tmp_path / "runs/ppo/snake/policy.zip").is_file()
    assert json.loads((tmp_path / "runs/snake/run.json").read_text())["from_update"] == 0
