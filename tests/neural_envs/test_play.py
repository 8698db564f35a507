"""Playing: each key does its thing, on the session alone and through the window under SDL's dummy
driver.
"""

import os
import subprocess
import sys

import gymnasium
import imageio_ffmpeg
import numpy as np
import pygame
import pytest

from collectors.worlds import table
from neural_envs.commands.play import main
from neural_envs.play import twins
from neural_envs.play.keyboard import Keys
from neural_envs.play.player_view import PlayerView
from neural_envs.play.session import PlaySession
from neural_envs.play.window import RESERVED
from tests.neural_envs.walk import (
    ARROWS,
    DOWN,
    LEFT,
    RIGHT,
    UP,
    DreamWalk,
    Homing,
    Walk,
    key,
    make_session,
    places,
)

# ------------------------------------------------------------------ keys


def test_a_held_key_acts_and_without_a_key_the_last_action_goes_on():
    keys = Keys(ARROWS)
    assert keys.next_action() is None
    keys.press(pygame.K_LEFT)
    assert [keys.next_action() for _ in range(3)] == [LEFT] * 3
    keys.release(pygame.K_LEFT)
    assert keys.next_action() == LEFT


def test_where_the_table_has_an_action_for_no_keys_that_one_is_idle():
    keys = Keys({**ARROWS, (): 4})
    assert keys.next_action() == 4
    keys.press(pygame.K_UP)
    keys.release(pygame.K_UP)
    assert [keys.next_action(), keys.next_action()] == [UP, 4]


def test_two_quick_taps_between_steps_both_act_in_order():
    keys = Keys(ARROWS)
    for tap in (pygame.K_UP, pygame.K_LEFT):
        keys.press(tap)
        keys.release(tap)
    assert [keys.next_action() for _ in range(3)] == [UP, LEFT, LEFT]


def test_the_latest_key_wins_and_a_combination_wins_over_its_parts():
    keys = Keys({**ARROWS, (pygame.K_UP, pygame.K_RIGHT): 5})
    keys.press(pygame.K_RIGHT)
    keys.press(pygame.K_LEFT)
    assert [keys.next_action(), keys.next_action(), keys.next_action()] == [RIGHT, LEFT, LEFT]
    keys.release(pygame.K_LEFT)
    keys.press(pygame.K_UP)
    assert keys.next_action() == 5


def test_letters_give_way_to_commands_unless_an_action_has_no_other_key():
    both = Keys({**ARROWS, ("w",): UP, ("s",): DOWN, ("a",): LEFT, ("d",): RIGHT}, RESERVED)
    assert not any(both.knows(ord(letter)) for letter in "wasd") and both.knows(pygame.K_DOWN)
    letters = Keys({"w": UP, "s": DOWN}, RESERVED)
    assert letters.knows(ord("s")) and letters.knows(ord("w"))


# ------------------------------------------------------------------ session


def test_nothing_moves_before_the_first_key_and_both_worlds_get_the_same_actions_after_it():
    session = make_session(real=True)
    session.tick()
    assert session.waiting and places(session) == [100, 100]
    session.keys.press(pygame.K_RIGHT)
    session.tick()
    session.tick()
    assert not session.waiting and places(session) == [102, 102]
    assert session.views[0].env.actions == session.views[1].env.actions == [RIGHT, RIGHT]


def test_the_score_holds_reward_return_steps_and_trust():
    session = make_session(real=True)
    session.keys.press(pygame.K_RIGHT)
    session.tick()
    session.tick()
    dream, real = (view.score for view in session.views)
    assert (dream.reward, dream.return_, dream.steps, dream.trust) == (1.0, 2.0, 2, 0.5)
    assert real.trust is None and real.return_ == 2.0


def test_after_the_end_is_shown_for_a_while_a_new_game_begins_by_itself():
    session = make_session()
    session.keys.press(pygame.K_UP)
    session.keys.release(pygame.K_UP)
    session.tick()
    assert session.over and session.views[0].score.ending == "game over"
    for _ in range(30):
        session.tick()
    assert session.episode == 2 and session.waiting and not session.over


def test_a_side_that_has_ended_waits_for_the_other():
    session = make_session(real=True)
    session.views[1].env.steps = 18
    session.keys.press(pygame.K_RIGHT)
    for _ in range(5):
        session.tick()
    assert (
        session.views[1].score.ending == "stopped: step limit"
        and session.views[1].score.reward == 0
    )
    assert (
        session.views[0].score.steps == 5 and session.views[1].score.steps == 2 and not session.over
    )


def test_only_the_first_game_uses_the_seed_and_the_dream_can_start_from_the_real_frame():
    session = make_session(real=True, share_start=lambda frame: {"context": frame + 3})
    session.reset()
    assert session.views[0].env.seeds == session.views[1].env.seeds == [7, None]
    assert places(session) == [103, 100]


def test_a_snapshot_brings_both_worlds_back_as_often_as_wanted():
    session = make_session(real=True)
    session.keys.press(pygame.K_RIGHT)
    session.tick()
    session.snapshot()
    for _ in range(2):
        for _ in range(4):
            session.tick()
        assert places(session) == [105, 105]
        session.restore()
        assert places(session) == [101, 101] and session.views[0].score.return_ == 1.0


def test_a_real_game_that_cannot_be_copied_has_no_snapshots_and_play_goes_on():
    session = make_session(real=True)
    session.views[1].env.engine = os  # a module cannot be copied, as CoinRun's engine cannot
    session.snapshot()
    assert "cannot be copied" in session.message and session.saved is None
    session.keys.press(pygame.K_RIGHT)
    session.tick()
    assert places(session) == [101, 101]


def test_a_snapshot_of_a_wrapped_world_brings_its_step_limit_back():
    env = gymnasium.wrappers.TimeLimit(DreamWalk(), 10)
    session = PlaySession([PlayerView("dream", env)], Keys(ARROWS))
    session.keys.press(pygame.K_RIGHT)
    for _ in range(4):
        session.tick()
    session.snapshot()
    for _ in range(3):
        session.tick()
    session.restore()
    for _ in range(6):
        assert not session.over
        session.tick()
    assert session.over and session.views[0].score.steps == 10


def test_the_policy_plays_each_world_from_its_own_frames():
    session = make_session(real=True, share_start=lambda frame: {"context": frame + 8})
    session.toggle_player()
    for _ in range(6):
        session.tick()
    assert places(session) == [110, 106] and all(policy.resets for policy in session.policies)
    session.toggle_player()
    session.tick()
    assert session.views[0].env.actions[-1] == session.views[1].env.actions[-1] == DOWN, (
        "the last direction goes on"
    )


def test_a_missing_policy_is_told_and_the_person_goes_on_playing():
    def missing(actions):
        raise ImportError("no policy called homing here")

    session = make_session(make_policy=missing)
    session.toggle_player()
    assert not session.policy_plays and "no policy called homing" in session.message
    session = make_session(make_policy=None)
    session.toggle_player()
    assert "--policy" in session.message


def test_a_message_fades():
    session = make_session()
    session.show_message("hello")
    for _ in range(40):
        session.tick()
    assert session.message == ""


# ------------------------------------------------------------------ the window


def test_arrow_keys_posted_to_the_window_move_the_worlds(screen):
    key(screen, pygame.K_RIGHT, up=False)
    screen.session.tick()
    pygame.event.post(pygame.event.Event(pygame.KEYUP, key=pygame.K_RIGHT))
    key(screen, pygame.K_LEFT)
    screen.session.tick()
    assert screen.session.views[0].env.actions == [RIGHT, LEFT]


def test_r_starts_a_new_game(screen):
    key(screen, pygame.K_RIGHT)
    screen.session.tick()
    key(screen, pygame.K_r)
    assert (
        screen.session.episode == 2
        and screen.session.views[0].score.steps == 0
        and screen.session.waiting
    )


def test_p_pauses_and_goes_on(screen):
    key(screen, pygame.K_RIGHT, up=False)
    key(screen, pygame.K_p)
    screen.session.tick()
    assert screen.session.paused and screen.session.views[0].score.steps == 0
    key(screen, pygame.K_p)
    screen.session.tick()
    assert screen.session.views[0].score.steps == 1


def test_n_goes_on_by_one_step_and_pauses(screen):
    key(screen, pygame.K_n)
    assert "press the key" in screen.session.message
    key(screen, pygame.K_RIGHT)
    for _ in range(2):
        key(screen, pygame.K_n)
        screen.session.tick()
    assert screen.session.paused and screen.session.views[0].score.steps == 2


def test_tab_hands_over_to_the_policy_and_back(screen):
    key(screen, pygame.K_TAB)
    screen.session.tick()
    assert screen.session.policy_plays and screen.session.views[0].score.steps == 1
    key(screen, pygame.K_TAB)
    assert not screen.session.policy_plays


def test_s_takes_a_snapshot_and_goes_back_to_it_and_shift_s_takes_a_new_one(screen):
    session = screen.session
    key(screen, pygame.K_s)
    key(screen, pygame.K_RIGHT)
    for _ in range(3):
        session.tick()
    key(screen, pygame.K_s)
    assert places(session) == [100, 100]
    key(screen, pygame.K_RIGHT)
    session.tick()
    key(screen, pygame.K_s, mod=pygame.KMOD_LSHIFT)
    session.tick()
    key(screen, pygame.K_s)
    assert places(session) == [101, 101]


def test_digits_choose_sampler_steps_and_a_refusal_is_shown(screen):
    key(screen, pygame.K_3)
    assert screen.session.dream.sampler_steps == 3
    key(screen, pygame.K_9)
    assert (
        screen.session.dream.sampler_steps == 3 and screen.session.message == "1 to 4 sampler steps"
    )


def test_v_records_an_mp4_that_can_be_read_back(screen, tmp_path):
    key(screen, pygame.K_TAB)
    key(screen, pygame.K_v)
    screen.run(max_steps=5)
    path = tmp_path / "walk-001.mp4"
    reader = imageio_ffmpeg.read_frames(str(path))
    size = next(reader)["size"]
    frames = [np.frombuffer(frame, np.uint8) for frame in reader]
    assert len(frames) == 6 and size == screen.surface.get_size()  # the first picture and 5 steps
    assert screen.files[0].name == path.name and (frames[0] != frames[-1]).any()


def test_a_second_recording_gets_the_next_name_and_v_ends_it(screen, tmp_path):
    (tmp_path / "walk-001.mp4").touch()
    key(screen, pygame.K_v)
    screen.show()
    key(screen, pygame.K_v)
    assert (
        tmp_path / "walk-002.mp4"
    ).stat().st_size > 0 and "walk-002.mp4" in screen.session.message


@pytest.mark.parametrize(
    "kind, facts", [(pygame.QUIT, {}), (pygame.KEYDOWN, {"key": pygame.K_ESCAPE})]
)
def test_escape_and_the_windows_cross_leave(screen, kind, facts):
    pygame.event.post(pygame.event.Event(kind, **facts))
    screen.run()
    assert not screen.open


def test_the_window_shows_both_worlds_pixel_for_pixel(screen):
    screen.show()
    picture, scale = screen.image(), screen.hud.layout.frame[0] // 8
    assert ((picture == 100).all(-1)).sum() >= 2 * (8 * scale) * (
        8 * scale - 60
    )  # less the ribbon "press a key"


def test_every_state_of_the_session_can_be_drawn(screen):
    session = screen.session
    (
        session.toggle_player(),
        session.snapshot(),
        session.set_sampler_steps(2),
        session.show_message("a long message " * 20),
    )
    screen.show()
    session.views[0].step(UP)
    session.paused = True
    screen.show()
    assert session.views[0].score.ending == "game over"


# ------------------------------------------------------------------ the command


WALK = table.World(
    name="walk",
    title="Walk",
    env="tests.neural_envs.walk:Walk",
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
    monkeypatch.setattr(twins, "policy_maker", lambda name, world: Homing)
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
