"""The verb play: what it prints, and what it says where it cannot play."""

import os
import signal
import subprocess
import sys

import gymnasium
import imageio_ffmpeg
import pygame
import pytest

from collectors.worlds import table
from neural_envs.commands.play import main
from neural_envs.commands.record import main as record
from neural_envs.play import twins
from neural_envs.play.session import PlaySession
from tests.neural_envs.walk_doubles import DreamWalk, Homing, Walk

WALK = table.World(
    name="walk",
    title="Walk",
    env="tests.neural_envs.walk_doubles:Walk",
    policies="",
    max_episode_steps=20,
    event="steps",
    ranking=("random", "homing"),
)


@pytest.fixture
def walk_world(monkeypatch, tmp_path):
    """The table of worlds with the doubles in it."""
    for name, double in (("NeuralWalk-v0", DreamWalk), ("RealWalk-v0", Walk)):
        spec = gymnasium.envs.registration.EnvSpec(name, entry_point=_maker(double))
        monkeypatch.setitem(gymnasium.registry, name, spec)
    monkeypatch.setitem(table.WORLDS, "walk", WALK)
    monkeypatch.setattr(twins, "policy_maker", lambda name, world, agents: Homing)
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.chdir(tmp_path)


def _maker(double):
    return lambda device="cpu", bundle=None: double()


def test_the_command_plays_beside_the_real_game_and_records(walk_world, capsys):
    code = main(
        [
            "walk",
            "--real",
            "--policy",
            "homing",
            "--fps",
            "1000",
            "--max-steps",
            "8",
            "--record",
            "out.mp4",
        ]
    )
    out = capsys.readouterr().out
    assert code == 0 and "dream: return 8 after 8 steps" in out and "real: return 8" in out
    assert "recorded out.mp4" in out
    assert imageio_ffmpeg.count_frames_and_secs("out.mp4")[0] == 9


def test_the_command_ends_after_max_steps_even_if_nobody_presses_a_key(walk_world, capsys):
    assert main(["walk", "--fps", "1000", "--max-steps", "3", "--seed", "5"]) == 0
    assert "after 0 steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["pingpong"], "unknown world 'pingpong'; did you mean 'pong'?"),
        (["snake", "--record", "film.avi"], ".mp4 or .gif"),
        (["snake", "--fsp", "3"], "did you mean 'fps'"),
        (["snake", "--seed", "-3"], "'seed' got -3, expected 0 or more"),
    ],
)
def test_a_wrong_command_line_ends_with_code_2_and_a_sentence(capsys, words, sentence):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2 and sentence in capsys.readouterr().err


def test_a_missing_bundle_policy_or_real_game_ends_with_code_1_and_a_sentence(
    walk_world, monkeypatch, capsys
):
    assert main(["snake", "--bundle", "no/such/bundle/here"]) == 1
    assert "no bundle" in capsys.readouterr().err
    monkeypatch.delitem(gymnasium.registry, "RealWalk-v0")
    monkeypatch.setitem(table.WORLDS, "walk", WALK._replace(env="no_such_module:Walk"))
    assert main(["walk", "--real"]) == 1
    assert "play the dream alone" in capsys.readouterr().err


def test_an_unknown_policy_is_refused_with_the_known_names_when_it_is_asked_for():
    make = twins.policy_maker("nonsense", "snake")  # nothing is looked up yet
    with pytest.raises(ValueError, match="astar"):
        make(4)


def test_a_dream_and_a_real_game_of_other_spaces_are_refused(walk_world, monkeypatch, capsys):
    monkeypatch.setattr(Walk, "action_space", gymnasium.spaces.Discrete(4))
    monkeypatch.setattr(DreamWalk, "action_space", gymnasium.spaces.Discrete(3))
    assert main(["walk", "--real"]) == 1
    assert "do not fit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "remedy"),
    [
        (main, "set DISPLAY, or SDL_VIDEODRIVER=dummy to play unseen (with --record"),
        (record, "set DISPLAY, or let a policy play by `neural-envs collect`"),
    ],
)
def test_without_a_screen_every_verb_names_what_it_can_do(
    verb, remedy, capsys, monkeypatch, tmp_path
):
    def unseen():
        raise pygame.error("no device")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pygame.display, "init", unseen)
    assert verb(["snake"]) == 1
    error = capsys.readouterr().err
    assert remedy in error and ("--record" in error) == (verb is main)


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="elsewhere there always is a screen"
)
def test_without_a_screen_the_command_says_so_with_code_1():
    hidden = ("SDL_VIDEODRIVER", "DISPLAY", "WAYLAND_DISPLAY")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    code = (
        "import sys; from neural_envs.commands.play import main; sys.exit(main(['snake', "
        "'--max-steps', '1']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "no window can be opened" in done.stderr or "no screen to play on" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_closes_the_window_and_the_recording_is_saved(
    walk_world, capsys, monkeypatch, number, code
):
    tick, ticks = PlaySession.tick, []

    def interrupted(session):
        tick(session)
        ticks.append(session)
        if len(ticks) == 4:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(PlaySession, "tick", interrupted)
    words = ["walk", "--policy", "homing", "--fps", "1000", "--max-steps", "500"]
    assert main([*words, "--record", "out.mp4"]) == code
    assert "recorded out.mp4" in capsys.readouterr().err and len(ticks) == 4
    assert imageio_ffmpeg.count_frames_and_secs("out.mp4")[0] == 5
