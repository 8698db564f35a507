"""The tables of public games say what their files say, and a run writes a file or why not."""

from __future__ import annotations

import json
import re

import pytest

from agents.results import games as module
from agents.results import pages
from agents.results.figures import number_text
from agents.results.games import GameRun, GamesConfig, main, measure_game
from agents.results.games_table import ABSENT, NO_RATIO, NONE, games_tables
from agents.results.intervals import f1_interval
from agents.results.public_games import (
    GAMES,
    PUBLIC_GAMES,
    read_games,
    shortened_evaluation,
    shortened_transfer,
    write_game,
)
from collectors.worlds.any_game_images import AnyGameError, GameNotInstalled
from tests.source_tree import ROOT

MACHINE = {"processor": "x86_64", "vectors": "AVX2", "cores": 2, "threads": 2}
CAR, LANDER = "CarRacing-v3", "LunarLander-v3"


def made(command: str) -> dict:
    return {
        "command": f"neural-envs {command}",
        "commit": "abcdef0123",
        "date": "2026-11-26",
        "machine": MACHINE,
    }


def evaluation() -> dict:
    """What `evaluate` writes, as far as it is shown, and some of what is not."""
    psnr = {"1": 30.25, "10": 24.5, "32": 20.75}
    rollout = {"psnr": psnr, "copy_last_frame": {"psnr": {"1": 28.125}}, "curves": {"dream": [1]}}
    rollout["changes"] = {"f1": {"1": {"value": 0.75, "interval": [0.5, 1.0], "samples": 26}}}
    classes = {
        "0": {"f1": 0.99, "support": 900, "precision": 1.0, "recall": 0.98},
        "1": {"f1": 0.625, "support": 30, "precision": 0.5, "recall": 0.8},
        "-1": {"f1": None, "support": 0, "precision": 0.0, "recall": 0.0},
    }
    at_depth = {
        "sharpness": {"value": 0.875, "interval": [0.75, 1.0], "samples": 16},
        "policies": {},
    }
    return {
        "made": made("evaluate dream"),
        "one_step": {"psnr": 31.0},
        "rollout": {**rollout, "psnr_ci": {"1": [29.5, 31.5]}, "samples": {"1": 26}},
        "reward": {"one_step": {"classes": classes}},
        "termination": {"one_step": {"f1": 0.125}},
        "control": {"delta_psnr": {"value": 3.5, "interval": [3.25, 3.75], "samples": 52}},
        "hold": {
            "1": {**at_depth, "kid": {"value": 0.01}},
            "100": {**at_depth, "kid": {"value": 0.0625}},
            "500": {"omitted": "too few"},
            "1000": {**at_depth, "kid": {"value": 0.5}},
        },
        "reduced": {},
        "seconds": 2.0,
        "survival": {},
    }


def transferred(ratio: float | None) -> dict:
    """What `transfer` writes, as far as it is shown."""

    def player(mean: float, over_runs: list[float] | None) -> dict:
        of_games = {"return_mean": mean, "return_games_ci": [mean - 1, mean]}
        return {**of_games, "return_ci": over_runs, "return_by_run": over_runs or [mean]}

    return {
        "made": made("transfer"),
        "budget_steps": 50_000,
        "seeds": [0, 1, 2],
        "random": player(-7.5, [-9.5, -5.5]),
        "dream": player(12.5, None),
        "real": player(13.5, [11.5, 15.5]),
        "learned": ratio is not None,
        "transfer": ratio,
        "transfer_ci": None,
        "world": "left out",
    }


def figures(game: str, **changes) -> dict:
    """A file of a game of which everything was measured."""
    return {
        "made": made(f"dream {game}"),
        "weights": "0" * 64,
        "id": game,
        "family": "any",
        "frames": 123_456,
        "minutes": 61.4,
        "evaluation": shortened_evaluation(evaluation()),
        "transfer": shortened_transfer(transferred(0.5)),
    } | changes


def rows(text: str, game: str) -> list[list[str]]:
    """The cells of a game, table by table."""
    lines = [line for line in text.splitlines() if line.startswith(f"| `{game}` |")]
    return [line[2:-2].split(" | ") for line in lines]


def test_the_page_has_the_part_and_every_row_is_a_file_s():
    page = (ROOT / "docs/any_game.md").read_text()
    assert pages.MARK.format("public games") in page
    part = page.partition(pages.MARK.format("public games"))[2]
    part = part.partition(pages.END.format("public games"))[0]
    assert part.strip() == games_tables(GAMES, ROOT / "docs").strip()
    named = set(re.findall(r"^\| `(.+?)` \|", part, re.MULTILINE))
    assert named == set(read_games())


def test_without_a_file_there_is_no_row(tmp_path):
    assert games_tables(tmp_path) == NONE
    write_game(tmp_path, figures(CAR))
    text = games_tables(tmp_path)
    assert rows(text, CAR) and not rows(text, LANDER)


def test_every_cell_is_a_figure_of_the_file_with_its_interval(tmp_path):
    write_game(tmp_path, figures(CAR))
    dream, returns = rows(games_tables(tmp_path), CAR)
    assert dream[1:] == [
        "123 456, 61, `any`",
        "30.2 (29.5 to 31.5); copied 28.1",
        "20.8",
        "0.750 (0.500 to 1.000)",
        ABSENT,
        "3.500 (3.250 to 3.750)",
        "1: 0.625 ({:.3f} to {:.3f})".format(*f1_interval(0.625, 54)),  # 24 hits, 6 and 24 wrong
        "0.125",
        "100 steps: sharpness 0.875 (0.750 to 1.000), KID 0.062",
    ]
    assert returns[1:] == [
        "-7.500 (-9.500 to -5.500)",
        "12.5 (11.5 to 12.5), one run",
        "13.5 (11.5 to 15.5)",
        "0.500",
        "50 000, 3",
    ]


def test_another_number_in_the_file_is_another_number_in_the_table(tmp_path):
    changed = figures(CAR)
    changed["evaluation"]["rollout"]["psnr"]["32"] = 11.25
    changed["transfer"] = shortened_transfer(transferred(None))
    write_game(tmp_path, changed)
    dream, returns = rows(games_tables(tmp_path), CAR)
    assert dream[3] == number_text(11.25) and returns[4] == NO_RATIO[True]
    changed["transfer"]["random"]["return_by_run"] = [-7.5, 12.0]
    write_game(tmp_path, changed)
    assert rows(games_tables(tmp_path), CAR)[1][4] == NO_RATIO[False]


def test_what_failed_is_shown_by_its_sentence_and_what_was_measured_stays(tmp_path):
    whole = figures(LANDER)
    reason = "no images | here"
    first = {name: whole[name] for name in ("made", "weights", "id")}
    write_game(tmp_path, {**first, "failed": reason})
    for cells in rows(games_tables(tmp_path), LANDER):
        assert cells[1] == "failed: no images / here" and set("".join(cells[2:])) <= {" ", "|"}
    del whole["transfer"]
    write_game(tmp_path, {**whole, "failed": reason})
    dream, returns = rows(games_tables(tmp_path), LANDER)
    assert dream[3] == "20.8" and returns[1] == "failed: no images / here"


def test_what_was_not_measured_is_a_dash_and_games_have_the_order_of_the_list(tmp_path):
    found = evaluation() | {"hold": {"omitted": "no"}, "control": {"omitted": "no"}}
    write_game(tmp_path, figures(LANDER, evaluation=shortened_evaluation(found)))
    write_game(tmp_path, figures("ALE/Breakout-v5"))
    dream, _ = rows(games_tables(tmp_path), LANDER)
    assert dream[6] == dream[9] == ABSENT
    assert list(read_games(tmp_path)) == ["ALE/Breakout-v5", LANDER]


def test_the_images_of_a_game_and_its_commands_are_shown(tmp_path):
    docs = tmp_path / "docs"
    (docs / "strips/games").mkdir(parents=True)
    (docs / f"strips/games/{CAR}.png").write_bytes(b"")
    write_game(tmp_path / "games", figures(CAR))
    text = games_tables(tmp_path / "games", docs)
    assert f"(strips/games/{CAR}.png)" in text and ".gif" not in text
    assert f"`neural-envs dream {CAR}`, `neural-envs evaluate dream`" in text


def test_where_a_dream_was_trained_is_told_where_it_was_measured_elsewhere(tmp_path):
    trained = MACHINE | {"cuda": "NVIDIA H200", "cores": 16}
    write_game(tmp_path, figures(CAR) | {"trained_on": MACHINE})
    assert "trained on" not in games_tables(tmp_path)
    write_game(tmp_path, figures(CAR) | {"trained_on": trained})
    assert "2 cores; trained on NVIDIA H200, x86_64 AVX2, 16 cores" in games_tables(tmp_path)


def test_a_shortened_file_is_small_and_has_no_curves(tmp_path):
    file = write_game(tmp_path, figures(CAR))
    assert not {"curves", "policies", "survival", "world"} & set(
        re.findall(r'"(\w+)":', file.read_text())
    )
    for file in GAMES.glob("*/game.json"):
        assert file.stat().st_size < 20_000


class FailingRun(GameRun):
    """A game that got as far as its frames."""

    error: Exception = AnyGameError("it has no images")

    def run(self):
        self.figures["frames"] = 5
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "kept"),
    [
        (AnyGameError("it has\n no images"), 0, True),
        (ValueError("it is empty"), 0, True),
        (GameNotInstalled("pip install it"), 1, False),
        (OSError(28, "No space left"), 1, False),
        (RuntimeError("a bug"), 1, False),
    ],
)
def test_what_fails_because_of_the_game_is_its_figure_and_nothing_else_is(
    error, code, kept, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(FailingRun, "error", error)
    monkeypatch.setattr(module, "GameRun", FailingRun)
    assert main([CAR, "--measured", str(tmp_path)]) == code
    found = read_games(tmp_path)
    assert (CAR in found) is kept
    if kept:
        assert found[CAR]["failed"] == " ".join(str(error).split()) and found[CAR]["frames"] == 5
    assert ("a bug" in capsys.readouterr().err) is (str(error) == "a bug")


def test_all_games_are_run_whatever_one_of_them_does(tmp_path, monkeypatch):
    done = []

    def measured(config, game):
        done.append(game)
        raise RuntimeError("a bug")

    monkeypatch.setattr(module, "measure_game", measured)
    assert main([]) == 1 and done == list(PUBLIC_GAMES)


def test_an_unknown_game_names_the_nearest(capsys):
    with pytest.raises(SystemExit):
        main(["CarRacing-v2"])
    assert "did you mean 'CarRacing-v3'" in capsys.readouterr().err


def test_a_folder_of_a_machine_is_refused_before_hours_of_work(capsys):
    with pytest.raises(SystemExit):
        main([CAR, "--out", "/somewhere/dreams"])
    assert "give a relative folder" in capsys.readouterr().err


@pytest.fixture
def stubs(monkeypatch, tmp_path):
    """The long parts; what they were asked for."""
    asked: dict[str, object] = {}

    class Dream:
        def __init__(self, config):
            asked["dream"] = config
            self.root = tmp_path / config.out
            self.data, self.bundle, self.policy = (self.root / name for name in "abc")

        def run(self):
            done = {stage: {"seconds": 60.0} for stage in module.SHARES}
            done["record"]["family"] = "any"
            self.root.mkdir(parents=True, exist_ok=True)
            (self.root / "state.json").write_text(json.dumps({"settings": {}, "done": done}))

    def evaluate(config):
        asked["evaluate"], asked["count"] = config, int(asked.get("count", 0)) + 1
        file = module.Path(config.out) / "evaluation.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(evaluation() | {"weights": "w"}))

    def transfer(config):
        asked["transfer"] = config
        return transferred(0.5)

    class Counted:
        def __init__(self, path):
            self.steps, self.num_timesteps = 77, 65_536

    for name, stub in {
        "DreamRun": Dream,
        "evaluate_bundle": evaluate,
        "weights_fingerprint": lambda game, bundle: "w",
        "Dataset": Counted,
        "load_policy": Counted,
    }.items():
        monkeypatch.setattr(module, name, stub)
    monkeypatch.setattr(module.transfer, "run_transfer", transfer)
    monkeypatch.chdir(tmp_path)
    return asked


def test_a_game_is_dreamed_measured_and_transferred_with_its_own_options(stubs, tmp_path):
    config = GamesConfig(minutes=60.0, out="dreams", measured="measured", docs="")
    for _ in range(2):
        measure_game(config, LANDER)
    assert stubs["count"] == 1, "an evaluation that is there is not made again"
    options = ("continuous=true",)
    assert (stubs["dream"].minutes, stubs["dream"].options) == (60, options)
    assert (stubs["evaluate"].real, stubs["evaluate"].real_options) == (LANDER, options)
    assert stubs["evaluate"].minutes == 10 and not stubs["evaluate"].quick
    assert (stubs["transfer"].steps, stubs["transfer"].real_options) == (65_536, options)
    found = read_games(tmp_path / "measured")[LANDER]
    assert (found["frames"], found["minutes"], found["family"]) == (77, 7.0, "any")
    command = f"neural-envs dream {LANDER} --minutes 60.0 --options continuous=true"
    assert found["made"]["command"] == command and "failed" not in found
