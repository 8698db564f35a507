"""The play window and its panels, under SDL's dummy driver."""

import imageio_ffmpeg
import numpy as np
import pygame
import pytest

from collectors.video_writers import open_video
from neural_envs.commands.play import main
from neural_envs.play.hud import Panels, help_for, layout_for
from neural_envs.play.keyboard import Keys
from neural_envs.play.player_view import PlayerView
from neural_envs.play.session import PlaySession
from neural_envs.play.window import RESERVED, PlayWindow
from tests.neural_envs.walk_doubles import (
    ARROWS,
    LEFT,
    RIGHT,
    UP,
    DreamWalk,
    key,
    make_session,
    places,
)


def test_arrow_keys_posted_to_the_window_move_the_worlds(window):
    key(window, pygame.K_RIGHT, up=False)
    window.session.tick()
    pygame.event.post(pygame.event.Event(pygame.KEYUP, key=pygame.K_RIGHT))
    key(window, pygame.K_LEFT)
    window.session.tick()
    assert window.session.views[0].env.actions == [RIGHT, LEFT]


def test_r_starts_a_new_game(window):
    key(window, pygame.K_RIGHT)
    window.session.tick()
    key(window, pygame.K_r)
    assert (
        window.session.episode == 2
        and window.session.views[0].score.steps == 0
        and window.session.waiting
    )


def test_p_pauses_and_goes_on(window):
    key(window, pygame.K_RIGHT, up=False)
    key(window, pygame.K_p)
    window.session.tick()
    assert window.session.paused and window.session.views[0].score.steps == 0
    key(window, pygame.K_p)
    window.session.tick()
    assert window.session.views[0].score.steps == 1


def test_n_goes_on_by_one_step_and_pauses(window):
    key(window, pygame.K_n)
    assert "press the key" in window.session.message
    key(window, pygame.K_RIGHT)
    for _ in range(2):
        key(window, pygame.K_n)
        window.session.tick()
    assert window.session.paused and window.session.views[0].score.steps == 2


def test_tab_hands_over_to_the_policy_and_back(window):
    key(window, pygame.K_TAB)
    window.session.tick()
    assert window.session.policy_plays and window.session.views[0].score.steps == 1
    key(window, pygame.K_TAB)
    assert not window.session.policy_plays


def test_s_takes_a_snapshot_and_goes_back_to_it_and_shift_s_takes_a_new_one(window):
    session = window.session
    key(window, pygame.K_s)
    key(window, pygame.K_RIGHT)
    for _ in range(3):
        session.tick()
    key(window, pygame.K_s)
    assert places(session) == [100, 100]
    key(window, pygame.K_RIGHT)
    session.tick()
    key(window, pygame.K_s, mod=pygame.KMOD_LSHIFT)
    session.tick()
    key(window, pygame.K_s)
    assert places(session) == [101, 101]


def test_digits_choose_sampler_steps_and_a_refusal_is_shown(window):
    key(window, pygame.K_3)
    assert window.session.dream.sampling.steps == 3
    key(window, pygame.K_9)
    assert (
        window.session.dream.sampling.steps == 3
        and window.session.message == "1 to 4 sampler steps"
    )


def test_v_records_an_mp4_that_can_be_read_back(window, tmp_path):
    key(window, pygame.K_TAB)
    key(window, pygame.K_v)
    window.run(max_steps=5)
    path = tmp_path / "walk-001.mp4"
    reader = imageio_ffmpeg.read_frames(str(path))
    size = next(reader)["size"]
    frames = [np.frombuffer(frame, np.uint8) for frame in reader]
    assert len(frames) == 6 and size == window.surface.get_size()  # the first frame and 5 steps
    assert window.files[0].name == path.name and (frames[0] != frames[-1]).any()


def test_a_second_recording_gets_the_next_name_and_v_ends_it(window, tmp_path):
    (tmp_path / "walk-001.mp4").touch()
    key(window, pygame.K_v)
    window.show()
    key(window, pygame.K_v)
    assert (
        tmp_path / "walk-002.mp4"
    ).stat().st_size > 0 and "walk-002.mp4" in window.session.message


@pytest.mark.parametrize(
    "kind, facts", [(pygame.QUIT, {}), (pygame.KEYDOWN, {"key": pygame.K_ESCAPE})]
)
def test_escape_and_the_windows_cross_leave(window, kind, facts):
    pygame.event.post(pygame.event.Event(kind, **facts))
    window.run()
    assert not window.open


def test_the_window_shows_both_worlds_pixel_for_pixel(window):
    window.show()
    image, scale = window.image(), window.hud.layout.frame[0] // 8
    assert ((image == 100).all(-1)).sum() >= 2 * (8 * scale) * (
        8 * scale - 60
    )  # less the ribbon "press a key"


def test_every_state_of_the_session_can_be_drawn(window):
    session = window.session
    (
        session.toggle_player(),
        session.snapshot(),
        session.set_sampler_steps(2),
        session.show_message("a long message " * 20),
    )
    window.show()
    session.views[0].step(UP)
    session.paused = True
    window.show()
    assert session.views[0].score.ending == "game over"


def test_d_opens_a_third_panel_and_closes_it_again(window):
    two = window.surface.get_size()
    key(window, pygame.K_d)
    window.show()
    three = window.surface.get_size()
    assert (
        window.panels.difference
        and three[0] > two[0]
        and window.image().shape == (three[1], three[0], 3)
    )
    key(window, pygame.K_d)
    assert window.surface.get_size() == two


def test_the_third_panel_is_bright_where_the_worlds_differ(window):
    key(window, pygame.K_d)
    window.show()
    layout = window.hud.layout
    place = layout.left(2) + layout.frame[0] // 2, 200
    same = window.image()[place[1], place[0]].astype(int)
    window.session.views[0].env.place = 220
    window.session.views[0].step(RIGHT)
    window.show()
    assert len(set(same)) == 1 and (window.image()[place[1], place[0]] > same + 50).all()


def test_without_a_real_game_d_says_how_to_get_one(window):
    alone = PlayWindow(make_session(), "walk")
    key(alone, pygame.K_d)
    assert not alone.panels.difference and "--real" in alone.session.message


def test_c_lets_the_dream_go_on_from_the_real_game(window):
    window.session.views[0].step(RIGHT)
    key(window, pygame.K_c)
    assert places(window.session) == [100, 100]


def test_g_guides_more_and_with_shift_less(window):
    for mod in (0, 0, pygame.KMOD_LSHIFT):
        key(window, pygame.K_g, mod=mod)
    assert window.session.dream.sampling.guidance == 1.5


def test_f_opens_the_filmstrip_which_is_computed_once_a_step_and_for_new_settings(
    window, monkeypatch
):
    asked = []
    denoising = DreamWalk.denoising
    monkeypatch.setattr(
        DreamWalk, "denoising", lambda env: [asked.append(env.place), *denoising(env)][1:]
    )
    window.show()
    assert not asked and window.filmstrip() == []
    key(window, pygame.K_f)
    window.show(), window.show()
    window.session.views[0].step(RIGHT)
    window.show(), window.show()
    assert asked == [100, 101]
    key(window, pygame.K_4)
    window.show()
    assert asked == [100, 101, 101] and len(window.filmstrip()) == 5


def test_a_model_that_draws_in_one_call_has_no_filmstrip(window, monkeypatch):
    monkeypatch.setattr(DreamWalk, "denoises", False)
    key(window, pygame.K_f)
    assert not window.panels.filmstrip and "one call" in window.session.message


def test_while_a_recording_runs_the_window_keeps_its_size(window):
    window.recording = open_video("film.gif", 10)
    window.show()
    key(window, pygame.K_d)
    assert not window.panels.difference and "V ends" in window.session.message
    window.show()
    key(window, pygame.K_v)
    key(window, pygame.K_d)
    assert window.panels.difference and len(window.files) == 1


def test_without_ffmpeg_v_says_what_to_install_and_the_game_goes_on(window, monkeypatch):
    def missing(instead):
        raise ImportError("MP4 files need ffmpeg")

    monkeypatch.setattr("collectors.video_writers.find_ffmpeg", missing)
    key(window, pygame.K_v)
    window.show()
    assert window.session.message == "MP4 files need ffmpeg" and window.recording is None
    window.session.single_step()


@pytest.mark.parametrize("shape", [(64, 64, 3), (84, 84, 4), (16, 24, 3)])
@pytest.mark.parametrize("real", [False, True])
def test_every_panel_fits_the_window_at_any_frame(window, shape, real):
    session = make_session(real=real)
    for view in session.views:
        view.score = view.score.__class__(
            np.full(shape, 90, np.uint8), trust=0.3, trust_history=(0.3, 0.9)
        )
    panels = Panels(real, True)
    layout = layout_for(session, 0, panels)
    count, (columns, lines) = len(session.views) + real, layout.help
    assert layout.left(0) >= 8 and layout.left(count - 1) + layout.frame[0] + 8 <= layout.size[0]
    assert layout.size[0] <= 1280 and layout.size[1] <= 1000 and columns * lines >= 9
    made = PlayWindow(session, "walk")
    made.show_panels(*panels)
    session.show_message("a long message " * 9)
    made.show()
    assert made.panels == panels and made.surface.get_size() == layout.size


def test_help_names_only_the_keys_that_do_something(window, monkeypatch):
    def keys(session):
        return {entry[0] for entry in help_for(session)}

    assert {"D", "C", "G", "F", "1-9", "A"} <= keys(make_session(real=True))
    assert not {"D", "C"} & keys(make_session())
    monkeypatch.setattr(DreamWalk, "denoises", False)
    monkeypatch.setattr(DreamWalk, "guides", False)
    assert not {"F", "1-9", "G"} & keys(make_session())


def test_a_game_with_an_action_for_no_keys_is_idle_without_any():
    class Idle(DreamWalk):
        idle_action = 3

    env = Idle()
    assert (
        Keys.of_dream(env, RESERVED).next_action() == 3
        and Keys.of_dream(DreamWalk(), RESERVED).next_action() is None
    )
    session = PlaySession([PlayerView("dream", env)], Keys.of_dream(env, RESERVED))
    session.tick()
    assert env.actions == [3] and () not in ARROWS


def test_the_panel_of_the_difference_needs_a_real_game_on_the_command_line_too(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["snake", "--difference"])
    assert stop.value.code == 2 and "--real" in capsys.readouterr().err


def test_guidance_for_a_model_without_it_ends_with_code_1_and_a_sentence(monkeypatch, capsys):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    assert main(["snake", "--guidance", "2", "--max-steps", "1"]) == 1
    assert "no guidance on the action" in capsys.readouterr().err
    assert main(["snake", "--temperature", "0.5", "--max-steps", "1"]) == 1
    assert "has no temperature" in capsys.readouterr().err
