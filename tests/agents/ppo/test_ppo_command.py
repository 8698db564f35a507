"""`neural-envs ppo`: what it says, what it refuses, and how it shows what was learned."""

from __future__ import annotations

import json
import shlex
import zipfile
from pathlib import Path

import pytest

from agents.ppo import command as ppo
from agents.ppo.policy_file import MEMBER, PolicyFileError, read_origin
from agents.ppo.presets import PPOSettings, expected_time, played_steps
from collectors.policies.policies import PolicyError, make_policy
from collectors.settings.parse import parse
from neural_envs.play.config import PlayConfig
from neural_envs.web.config import ServeConfig

SMALL = ["ppo.num_envs=4", "ppo.n_steps=8", "ppo.batch_size=16", "ppo.n_epochs=1", "--steps=32"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with an agent that learned real Snake a little, and what the command printed."""
    return tmp_path_factory.mktemp("runs") / "agent"


def train(folder, *more: str) -> int:
    return ppo.main(["snake", "--world=real", f"--out={folder}", "--games=2", *SMALL, *more])


@pytest.fixture
def agent(folder, capsys) -> str:
    """The file of an agent, trained once."""
    if not (folder / "policy.zip").is_file():
        assert train(folder, "--film=12") == 0, capsys.readouterr().err
        capsys.readouterr()
    return str(folder / "policy.zip")


def test_the_steps_that_are_said_are_those_of_whole_rollouts():
    settings = PPOSettings(num_envs=64, n_steps=64)
    assert played_steps(4096, settings) == 4096 and played_steps(4097, settings) == 8192
    assert expected_time(300, settings, "cuda") == "on cuda (4096 steps in whole rollouts)"
    assert "about 20 s" in expected_time(300, settings, "cpu", trainings=2)
    assert "whole" not in expected_time(8192, settings, "cpu")


def test_it_plays_real_games_films_them_and_names_the_next_command(tmp_path, capsys):
    assert train(tmp_path, "--film=12") == 0
    printed = capsys.readouterr().out
    assert "PPO learns snake in the real game: 32 steps" in printed
    assert "in the real game: return" in printed and "95 %" in printed and "2 games" in printed
    assert (tmp_path / "strip.png").is_file() and "dream_vs_real." in printed
    assert f"neural-envs play snake --real --policy {tmp_path / 'policy.zip'}" in printed
    assert "n_steps: 8" in (tmp_path / "settings.yaml").read_text()


@pytest.mark.parametrize(
    "config",
    [
        ppo.PPOCommand(name="snake"),
        ppo.PPOCommand(name="snake", bundle="my snake", real_options=("grid_size=6", "wrap=true")),
        ppo.PPOCommand(name="LunarLander-v3", bundle="runs/moon/bundle"),
        ppo.PPOCommand(name="ALE/Pong-v5", bundle="b", real_options=("continuous=true",)),
    ],
)
def test_the_commands_that_it_names_show_its_agent_beside_the_real_game(config):
    play, serve = (line.split(": ")[1] for line in ppo.next_steps(config, Path("a b/policy.zip")))
    played = parse(PlayConfig, shlex.split(play)[2:], "neural-envs play", ("world",))
    served = parse(ServeConfig, shlex.split(serve)[2:], "neural-envs serve")
    assert played.policy == "a b/policy.zip" and served.policy == ("a b/policy.zip",)
    assert played.bundle == config.bundle or not config.bundle
    assert played.real_options == config.real_options
    if config.name == "snake":
        assert played.world == "snake" and (played.real or played.twin == "collectors:RealSnake-v0")
    else:
        assert played.world == "" and played.twin == served.twin == config.name
        assert served.real_options == config.real_options


def test_a_finished_run_is_not_trained_again_and_one_of_other_settings_is_refused(
    agent, folder, capsys
):
    before = (folder / "policy.zip").read_bytes()
    assert train(folder, "--film=12") == 0
    assert "finished already" in capsys.readouterr().out
    assert train(folder, "--seed=1") == 1
    refusal = capsys.readouterr().err
    assert "other settings" in refusal and "--overwrite" in refusal and "--out" in refusal
    assert (folder / "policy.zip").read_bytes() == before


def test_it_is_replaced_where_that_is_said(agent, folder, tmp_path, capsys):
    (tmp_path / "policy.zip").write_bytes((folder / "policy.zip").read_bytes())
    assert train(tmp_path, "--games=0", "--film=0") == 1
    assert train(tmp_path, "--games=0", "--film=0", "--overwrite") == 0
    assert (tmp_path / "policy.zip").read_bytes() != (folder / "policy.zip").read_bytes()


def test_every_world_has_a_folder_of_its_own():
    outs = [ppo.preset(words).out for words in (["snake"], ["pong"], ["snake", "--world", "real"])]
    assert outs == ["runs/ppo/snake", "runs/ppo/pong", "runs/ppo/snake-real"]


def test_a_policy_file_says_where_its_agent_learned_and_plays_no_other_game(agent):
    from agents.ppo.player import AgentPolicy

    assert read_origin(agent)[:2] == ("snake", "real")
    assert make_policy(agent, 4, "snake", AgentPolicy).name.startswith("agent-")
    with pytest.raises(PolicyError, match="the agent learned snake, and this game is worldmap"):
        make_policy(agent, 4, "worldmap", AgentPolicy)


@pytest.mark.parametrize(
    "origin", [7, {"world": 7}, {"world": "x" * 999}, {"world": "a\nb"}, {"evil": "snake"}]
)
def test_an_origin_that_is_no_words_is_refused(agent, tmp_path, origin):
    damaged = tmp_path / "damaged.zip"
    with zipfile.ZipFile(agent) as whole, zipfile.ZipFile(damaged, "w") as written:
        for name in whole.namelist():
            content = whole.read(name)
            if name == MEMBER:
                content = json.dumps({**json.loads(content), "origin": origin}).encode()
            written.writestr(name, content)
    with pytest.raises(PolicyFileError, match="damaged"):
        read_origin(damaged)


def test_a_film_of_an_agent_in_a_dream_is_written_once(agent, tmp_path, monkeypatch, capsys):
    from neural_envs.cli import main

    monkeypatch.chdir(tmp_path)
    words = ["video", "snake", "--policy", agent, "--steps", "3", "--scale", "1"]
    assert main([*words, "--out", "film.gif"]) == 0, capsys.readouterr().err
    first = (tmp_path / "film.gif").read_bytes()
    assert main([*words, "--out", "film.gif"]) == 1
    assert "film.gif is there already; --overwrite replaces it" in capsys.readouterr().err
    assert (tmp_path / "film.gif").read_bytes() == first


def test_an_unknown_setting_and_an_unknown_world_are_sentences(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        ppo.main(["snake", "--stepz", "3"])
    assert stop.value.code == 2
    assert ppo.main(["snok", "--world", "real", "--out", str(tmp_path)]) == 1
    assert "did you mean 'snake'" in capsys.readouterr().err


def test_a_policy_of_another_network_to_begin_with_is_a_sentence(agent, tmp_path, capsys):
    assert train(tmp_path / "b", "ppo.width=8", "--init-from", agent) == 1
    assert "is of another network or game" in capsys.readouterr().err
    assert train(tmp_path / "c", "--init-from", str(tmp_path / "none.zip")) == 1
    assert "no trained policy at" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["dream", "real"])
def test_a_real_game_of_other_frames_than_the_dream_is_refused_before_training(
    kind, tmp_path, capsys
):
    words = ["pong", f"--world={kind}", "--real-options=size=24", f"--out={tmp_path / 'agent'}"]
    assert ppo.main([*words, *SMALL]) == 1
    sentence = capsys.readouterr().err
    assert "the real game has frames (24, 24, 3), the bundle (64, 64, 3)" in sentence
    assert ("--film 0" if kind == "real" else "--games 0 --film 0") in sentence
    assert not (tmp_path / "agent" / "policy.zip").exists()
    assert ppo.main([*words, *SMALL, "--games=0", "--film=0"]) == 0, capsys.readouterr().err
