import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from agents.evaluation import play
from agents.evaluation.play import Episodes
from agents.experiments import dyna, dyna_report
from agents.experiments.dyna import DynaConfig, Loop, run_dyna
from agents.experiments.stages import StageError, Stages
from world_models.training.presets.table import find_preset

UPDATES = find_preset("snake").updates
RETURNS = {"random": -1.0, "dream": 4.0, "real": 9.0}


class Parts:
    """Stands in for playing and training; `calls` says what was done, and the next call named
    `deadly` is the last.
    """

    def __init__(self):
        self.calls, self.deadly = [], ""

    def call(self, name: str):
        if name == self.deadly:
            self.deadly = ""
            raise KeyboardInterrupt
        self.calls.append(name)

    def collect(self, env_id, out, frames, policy, **settings):
        self.call(f"collect {frames} {policy.label if policy.model else 'random'}")
        return type("Dataset", (), {"steps": frames + 1, "episodes": [0] * 3, "fingerprint": "abc"})

    def train(self, run, load_model):
        self.call(
            f"train {run.updates} from "
            f"{run.init_from and Path(run.init_from).parents[1].name or 'nothing'}"
        )
        return run.out / "bundle"

    def train_ppo(self, run):
        self.call(
            f"learn {run.world} from "
            f"{run.init_from and Path(run.init_from).parents[1].name or 'nothing'}"
        )
        out = Path(run.out)
        out.mkdir(parents=True, exist_ok=True)
        (out / "policy.zip").write_text(run.world)

    def play(self, policy, env_id, episodes, seed, **settings):
        self.call(f"play {policy} in {env_id.partition(':')[2]}")
        spread = np.linspace(-1, 1, episodes)
        return Episodes(RETURNS[policy] + spread, np.full(episodes, 3), np.full(episodes, 50))


@pytest.fixture
def parts(monkeypatch) -> Parts:
    parts = Parts()
    monkeypatch.setattr(play, "RESAMPLES", 200)
    monkeypatch.setattr(dyna_report, "how_made", lambda *words: {})  # it asks git, which is slow
    for name in ("collect", "train", "train_ppo"):
        monkeypatch.setattr(dyna, name, getattr(parts, name))
    monkeypatch.setattr(dyna, "play_policy", parts.play)
    monkeypatch.setattr(dyna, "load_policy", lambda path: Path(path).read_text())
    monkeypatch.setattr(dyna, "make_policy", lambda name, actions: name)
    return parts


@pytest.fixture
def config(tmp_path) -> DynaConfig:
    return dataclasses.replace(
        dyna.preset("snake"),
        rounds=2,
        frames=100,
        episodes=20,
        out=str(tmp_path / "out"),
        seeds=(0,),
    )


FIRST = [
    "play random in RealSnake-v0",
    "collect 100 random",
    f"train {UPDATES} from nothing",
    "learn dream from nothing",
    "learn real from nothing",
    "play real in RealSnake-v0",
    "play dream in RealSnake-v0",
    "play dream in NeuralSnake-v0",
]
SECOND = [
    "collect 200 round 1",
    "train 2000 from round_1",
    "learn dream from round_1",
    "learn real from round_1",
    "play real in RealSnake-v0",
    "play dream in RealSnake-v0",
    "play dream in NeuralSnake-v0",
    "play dream in NeuralSnake-v0",  # the policy of the round before in this dream
]


def test_each_round_goes_on_from_the_one_before(parts, config):
    run_dyna(config)
    assert parts.calls == FIRST + SECOND


def test_a_killed_loop_repeats_no_finished_stage(parts, config):
    training = f"train {UPDATES} from nothing"
    for deadly in (training, "learn real from nothing", "train 2000 from round_1"):
        parts.deadly = deadly
        with pytest.raises(KeyboardInterrupt):
            run_dyna(config)
    result = run_dyna(config)
    assert parts.calls == FIRST + SECOND
    assert json.loads((Path(config.out) / "dyna.json").read_text()) == result


def test_a_policy_that_was_saved_before_the_kill_is_not_trained_again(parts, config):
    run_dyna(config)
    state = Path(config.out) / "state.json"
    made = json.loads(state.read_text())
    del made["done"]["2/learn"]
    state.write_text(json.dumps(made))
    parts.calls.clear()
    run_dyna(config)
    assert parts.calls == []


def test_rounds_may_be_added_and_other_settings_are_refused_by_name(parts, config):
    run_dyna(dataclasses.replace(config, rounds=1))
    assert len(run_dyna(config)["rounds"]) == 2 and parts.calls == FIRST + SECOND
    with pytest.raises(StageError, match="holds a run with frames=100, not 200"):
        Loop(dataclasses.replace(config, frames=200))
    wide = dataclasses.replace(config.world_model, batch_size=7)
    with pytest.raises(StageError, match="world_model.batch_size=32, not 7"):
        Loop(dataclasses.replace(config, world_model=wide))
    Loop(
        dataclasses.replace(config, world_model=dataclasses.replace(config.world_model, threads=3))
    )


def test_the_report_says_what_each_round_reached(parts, config, capsys):
    result = run_dyna(config)
    last = result["rounds"][1]
    assert (
        last["round"] == 2
        and last["real_frames"] == 201
        and last["policy_steps"] == 2 * config.steps
    )
    assert last["transfer"] == pytest.approx(0.5) and last["transfer_ci"] is None
    assert last["real"]["return_mean"] == pytest.approx(4) and last["reference"][
        "return_mean"
    ] == pytest.approx(9)
    assert last["policy_before_in_this_dream"]["episodes"] == 20 and "apples_mean" in last["dream"]
    assert "policy_before_in_this_dream" not in result["rounds"][0]
    assert set(last["seconds"]) == {"collect", "train", "learn", "refer", "measure"}
    printed = capsys.readouterr().out
    assert "round 2 of 2" in printed and "random policy in the real game: -1.00" in printed
    assert "one loop: no interval over loops" in printed
    assert (Path(config.out) / "dyna.png").stat().st_size > 1000


def test_several_seeds_are_loops_of_their_own_and_the_interval_is_over_them(
    parts, config, monkeypatch, capsys
):
    def play_loop(policy, env_id, episodes, seed, **settings):
        own = 0 if policy == "random" else seed // play.MOST_GAMES % 10
        return Episodes(RETURNS[policy] + own + np.zeros(episodes), *[np.ones(episodes)] * 2)

    monkeypatch.setattr(dyna, "play_policy", play_loop)
    result = run_dyna(dataclasses.replace(config, seeds=(0, 1, 2)))
    root = Path(config.out)
    assert json.loads((root / "dyna.json").read_text()) == result
    assert json.loads((root / "seed_1" / "dyna.json").read_text())["seeds"] == [1]
    last = result["rounds"][1]
    # 4, 5, 6: standard error 1 / sqrt(3), t of two degrees of freedom 4.3027
    assert last["real"]["return_ci"] == pytest.approx([5 - 4.3027 / 3**0.5, 5 + 4.3027 / 3**0.5])
    assert last["transfer"] == pytest.approx(6 / 11) and last["transfer_ci"][0] < 6 / 11
    assert result["seeds"] == [0, 1, 2]
    assert "95 % intervals are over 3 loops" in capsys.readouterr().out


def test_rounds_in_which_the_real_game_taught_nothing_have_no_ratio_but_a_sentence(
    parts, config, monkeypatch, capsys
):
    monkeypatch.setitem(RETURNS, "real", -1.0)
    result = run_dyna(config)
    assert [row["transfer"] for row in result["rounds"]] == [None, None]
    assert [row["learned"] for row in result["rounds"]] == [False, False]
    text = "no transfer after round 1, 2: the real game taught nothing in this budget"
    assert text in capsys.readouterr().out


def test_loops_that_lie_too_far_apart_are_not_said_to_have_learned_nothing(
    parts, config, monkeypatch, capsys
):
    def play_loop(policy, env_id, episodes, seed, **settings):
        own = 0 if policy == "random" else 10 * (seed // play.MOST_GAMES % 10)
        return Episodes(RETURNS[policy] + own + np.zeros(episodes), *[np.ones(episodes)] * 2)

    monkeypatch.setattr(dyna, "play_policy", play_loop)
    monkeypatch.setitem(RETURNS, "real", 0.0)
    result = run_dyna(dataclasses.replace(config, seeds=(0, 1, 2)))
    assert [row["learned"] for row in result["rounds"]] == [False, False]
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("no transfer after round 1, 2: the real game's returns of 3 PPO seeds")
    assert "0.00 to 20.00, lie too far apart to tell what it taught; give more --seeds" in last


def test_loops_share_no_training_seed(parts, config, monkeypatch):
    seeds, train = [], parts.train
    monkeypatch.setattr(
        dyna, "train", lambda run, load: (seeds.append(run.seed), train(run, load))[1]
    )
    run_dyna(dataclasses.replace(config, seeds=(0, 1)))
    assert len(set(seeds)) == 4


def test_without_a_reference_there_is_no_transfer(parts, config):
    result = run_dyna(dataclasses.replace(config, reference=False))
    assert not any("real from" in call for call in parts.calls)
    assert result["rounds"][0]["transfer"] is None and "reference" not in result["rounds"][0]


def test_a_damaged_record_and_a_folder_of_something_else_are_sentences(tmp_path):
    folder = tmp_path / "run"
    Stages(folder).run("one", lambda: {"found": 1})
    assert Stages(folder).run("one", lambda: pytest.fail("was done"))["found"] == 1
    for name in ("state.json", "state_before.json"):
        (folder / name).write_text('{"settings": {')
    with pytest.raises(StageError, match="state.json is damaged .*; delete .* and begin anew"):
        Stages(folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(StageError, match="is not empty and holds no state.json"):
        Stages(tmp_path / "other")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["snake", "--rounds", "0"], 2, "'rounds' got 0, expected 1 or more"),
        (["snake", "--random-episodes", "2"], 2, "'random_episodes' got 2.0, expected at most 1"),
        (["snake", "world_model.schedule=minutes"], 2, "world_model.schedule=updates"),
        (["snake", "world_model.batchsize=3"], 2, "did you mean 'world_model.batch_size'"),
        (["snake", "--seeds", "1,1"], 2, "seeds are different whole numbers"),
        (["snok"], 1, "did you mean 'snake'"),
        (["snake", "--real-options", "levels=test"], 1, "unknown option 'levels'"),
    ],
)
def test_wrong_settings_are_one_sentence(words, code, sentence, tmp_path, capsys):
    try:
        found = dyna.main([*words, "--out", str(tmp_path / "out")])
    except SystemExit as stop:
        found = stop.code
    assert found == code and sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_two_rounds_from_end_to_end_and_again_without_work(tmp_path, capsys):
    words = [
        "snake",
        "--rounds",
        "2",
        "--frames",
        "800",
        "--fine-tune",
        "4",
        "--steps",
        "256",
        "--episodes",
        "4",
        "--seeds",
        "0",
    ]
    words += [
        "--real-options",
        "grid_size=8",
        "--out",
        str(tmp_path / "out"),
        "ppo.num_envs=8",
        "ppo.n_steps=16",
    ]
    words += [
        f"world_model.{word}"
        for word in ("updates=6", "validate_every=6", "validation_batches=1", "threads=1")
    ]
    words += ["ppo.batch_size=64", "world_model.model.grid.width=8", "world_model.contexts=8"]
    assert dyna.main(words) == 0
    made = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("*.zip")}
    result = json.loads((tmp_path / "out" / "dyna.json").read_text())
    assert [row["round"] for row in result["rounds"]] == [1, 2] and len(made) == 4
    assert result["rounds"][1]["real_frames"] >= 1600
    assert dyna.main(words) == 0
    assert made == {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("*.zip")}
