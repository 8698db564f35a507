"""The panels of the play window, under SDL's dummy driver."""

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
from tests.neural_envs.walk import ARROWS, RIGHT, DreamWalk, Walk, key, make_session, places


def test_d_opens_a_third_panel_and_closes_it_again(screen):
    two = screen.surface.get_size()
    key(screen, pygame.K_d)
    screen.show()
    three = screen.surface.get_size()
    assert (
        screen.panels.difference
        and three[0] > two[0]
        and screen.image().shape == (three[1], three[0], 3)
    )
    key(screen, pygame.K_d)
    assert screen.surface.get_size() == two


def test_the_third_panel_is_bright_where_the_worlds_differ(screen):
    key(screen, pygame.K_d)
    screen.show()
    layout = screen.hud.layout
    place = layout.left(2) + layout.frame[0] // 2, 200
    same = screen.image()[place[1], place[0]].astype(int)
    screen.session.views[0].env.place = 220
    screen.session.views[0].step(RIGHT)
    screen.show()
    assert len(set(same)) == 1 and (screen.image()[place[1], place[0]] > same + 50).all()


def test_without_a_real_game_d_says_how_to_get_one(screen):
    alone = PlayWindow(make_session(), "walk")
    key(alone, pygame.K_d)
    assert not alone.panels.difference and "--real" in alone.session.message


def test_c_lets_the_dream_go_on_from_the_real_game(screen):
    screen.session.views[0].step(RIGHT)
    key(screen, pygame.K_c)
    assert places(screen.session) == [100, 100]


def test_g_guides_more_and_with_shift_less(screen):
    for mod in (0, 0, pygame.KMOD_LSHIFT):
        key(screen, pygame.K_g, mod=mod)
    assert screen.session.dream.guidance == 1.5


def test_f_opens_the_filmstrip_which_is_computed_once_a_step_and_for_new_settings(
    screen, monkeypatch
):
    asked = []
    denoising = DreamWalk.denoising
    monkeypatch.setattr(
        DreamWalk, "denoising", lambda env: [asked.append(env.place), *denoising(env)][1:]
    )
    screen.show()
    assert not asked and screen.filmstrip() == []
    key(screen, pygame.K_f)
    screen.show(), screen.show()
    screen.session.views[0].step(RIGHT)
    screen.show(), screen.show()
    assert asked == [100, 101]
    key(screen, pygame.K_4)
    screen.show()
    assert asked == [100, 101, 101] and len(screen.filmstrip()) == 5


def test_a_model_that_draws_in_one_call_has_no_filmstrip(screen, monkeypatch):
    monkeypatch.setattr(DreamWalk, "denoises", False)
    key(screen, pygame.K_f)
    assert not screen.panels.filmstrip and "one call" in screen.session.message


def test_while_a_recording_runs_the_window_keeps_its_size(screen):
    screen.recording = open_video("film.gif", 10)
    screen.show()
    key(screen, pygame.K_d)
    assert not screen.panels.difference and "V ends" in screen.session.message
    screen.show()
    key(screen, pygame.K_v)
    key(screen, pygame.K_d)
    assert screen.panels.difference and len(screen.files) == 1


def test_without_ffmpeg_v_says_what_to_install_and_the_game_goes_on(screen, monkeypatch):
    def missing():
        raise ImportError("MP4 files need ffmpeg")

    monkeypatch.setattr("collectors.video_writers._ffmpeg", missing)
    key(screen, pygame.K_v)
    screen.show()
    assert screen.session.message == "MP4 files need ffmpeg" and screen.recording is None
    screen.session.single_step()


@pytest.mark.parametrize("shape", [(64, 64, 3), (84, 84, 4), (16, 24, 3)])
@pytest.mark.parametrize("real", [False, True])
def test_every_panel_fits_the_window_at_any_frame(screen, shape, real):
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


def test_help_names_only_the_keys_that_do_something(screen, monkeypatch):
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
        Keys.of_env(env, RESERVED).next_action() == 3
        and Keys.of_env(Walk(), RESERVED).next_action() is None
    )
    session = PlaySession([PlayerView("dream", env)], Keys.of_env(env, RESERVED))
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
