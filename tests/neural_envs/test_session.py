"""A session: who acts, what both worlds show, snapshots, resync, and comparison."""

import os

import gymnasium
import numpy as np
import pygame
import pytest

from collectors.media import difference
from neural_envs.play.keyboard import Keys
from neural_envs.play.player_view import TRUST_STEPS, History, PlayerView
from neural_envs.play.session import PlaySession
from tests.neural_envs.walk_doubles import (
    ARROWS,
    DOWN,
    LEFT,
    RIGHT,
    UP,
    DreamWalk,
    make_session,
    places,
    simulator_with,
)
from world_models.protocols import SamplingOptions


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


def test_a_missing_policy_is_shown_and_the_person_goes_on_playing():
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


def walked(steps=5, **settings):
    """A session on dream and real game, three pixels apart, after some steps to the right."""
    session = make_session(real=True, share_start=lambda frame: {"context": frame + 3}, **settings)
    for step in range(steps):
        for view in session.views:
            view.step(RIGHT if step else LEFT)
    return session


def test_resync_starts_the_dream_from_the_real_games_last_frames_and_actions():
    session = walked()
    assert places(session) == [106, 103]
    session.resync()
    frames, actions = session.views[0].env.context
    assert places(session) == [103, 103] and "step 5" in session.message
    assert frames[:, 0, 0, 0].tolist() == [101, 102, 103] and actions.tolist() == [RIGHT, RIGHT]


def test_after_a_resync_score_and_steps_go_on_and_a_dream_that_had_ended_lives():
    session = walked()
    session.views[0].step(UP)
    assert session.views[0].score.ending
    session.resync()
    score = session.views[0].score
    assert (score.steps, score.return_, score.ending) == (6, 4.0, "")


def test_a_dream_that_looks_at_one_frame_is_given_one_and_no_action(monkeypatch):
    monkeypatch.setattr(DreamWalk, "context_length", 1)
    session = walked()
    session.resync()
    frames, actions = session.views[0].env.context
    assert frames[:, 0, 0, 0].tolist() == [103] and actions.shape == (0,)


def test_early_in_a_game_the_history_is_as_short_as_the_game():
    session = walked(steps=1)
    session.resync()
    frames, actions = session.views[0].env.context
    assert frames[:, 0, 0, 0].tolist() == [100, 99] and actions.tolist() == [LEFT]


def test_a_history_keeps_one_action_less_than_frames():
    history = History(("a",), ()).then(1, "b", 1)
    assert history == (("b",), ())
    history = history.then(2, "c", 3).then(3, "d", 3).then(4, "e", 3)
    assert history == (("c", "d", "e"), (3, 4))


def test_where_a_resync_cannot_be_the_session_says_why_and_changes_nothing():
    alone = make_session()
    alone.resync()
    assert "--real" in alone.message
    ended = walked()
    ended.views[1].step(UP)
    ended.resync()
    assert "has ended" in ended.message and places(ended) == [106, 103]


def test_a_snapshot_keeps_the_history_and_the_course_of_trust():
    session = walked()
    session.snapshot()
    for _ in range(4):
        for view in session.views:
            view.step(LEFT)
    session.restore()
    session.resync()
    assert session.views[0].env.context[0][:, 0, 0, 0].tolist() == [101, 102, 103]
    assert session.views[0].score.trust_history == (0.5,) * 5


def test_the_course_of_trust_is_kept_for_some_steps_and_not_for_a_world_without_trust():
    session = make_session(real=True)
    for view in session.views:
        for _ in range(TRUST_STEPS + 9):
            view.step(DOWN)
    dream, real = (view.score.trust_history for view in session.views)
    assert dream == (0.5,) * TRUST_STEPS and real == ()


def test_the_difference_is_grey_where_both_agree_and_brighter_the_more_they_differ():
    real = np.full((8, 8, 3), 100, np.uint8)
    dream = real.copy()
    dream[0, 0, 1], dream[0, 1, 1], dream[0, 2] = 110, 150, 255
    shown = difference(dream, real).astype(int)
    assert shown.shape == (8, 8, 3) and len(set(shown[4, 4])) == 1
    assert (shown[0, 0] > shown[4, 4]).all() and (shown[0, 1] > shown[0, 0]).all()
    assert (shown[0, 2] > shown[0, 1]).all()
    assert difference(dream[..., :1].repeat(4, -1), real[..., :1].repeat(4, -1)).shape == (8, 8, 3)
    with pytest.raises(ValueError, match="no difference"):
        difference(dream, real[:4])


def test_a_session_compares_two_views_and_one_view_with_nothing():
    session = walked()
    assert (session.difference() == difference(*(view.score.frame for view in session.views))).all()
    assert make_session().difference() is None


def test_guidance_is_changed_by_steps_and_not_below_zero():
    session = make_session()
    session.dream.sampling = SamplingOptions(guidance=2.0)
    session.change_guidance(0.5)
    assert session.dream.sampling.guidance == 2.5 and session.message == "guidance: 2.5"
    for _ in range(9):
        session.change_guidance(-0.5)
    assert session.dream.sampling.guidance == 0.0


def test_the_first_step_of_guidance_is_from_the_bundles_own(monkeypatch):
    own = SamplingOptions(guidance=3.0)
    monkeypatch.setattr(DreamWalk, "simulator", simulator_with(own))
    session = make_session()
    session.change_guidance(0.5)
    assert session.dream.sampling.guidance == 3.5


def test_an_action_that_a_world_does_not_have_is_refused_by_name():
    session = make_session(real=True)
    with pytest.raises(ValueError, match=r"no action 7 in the real: it has Discrete\(4\)"):
        session.views[1].step(7)
    assert places(session) == [100, 100]
