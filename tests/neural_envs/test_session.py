"""What a session does beside playing: it resyncs, compares, guides, and shows how a frame came
about.
"""

import numpy as np
import pytest

from collectors.media import difference
from neural_envs.play.player_view import TRUST_STEPS, History
from tests.neural_envs.walk import (
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
    picture = difference(dream, real).astype(int)
    assert picture.shape == (8, 8, 3) and len(set(picture[4, 4])) == 1
    assert (picture[0, 0] > picture[4, 4]).all() and (picture[0, 1] > picture[0, 0]).all()
    assert (picture[0, 2] > picture[0, 1]).all()
    assert difference(dream[..., :1].repeat(4, -1), real[..., :1].repeat(4, -1)).shape == (8, 8, 3)
    with pytest.raises(ValueError, match="no difference"):
        difference(dream, real[:4])


def test_a_session_compares_its_two_sides_and_one_side_with_nothing():
    session = walked()
    assert (session.difference() == difference(*(view.score.frame for view in session.views))).all()
    assert make_session().difference() is None


def test_guidance_is_changed_by_steps_and_not_below_zero():
    session = make_session()
    session.dream.guidance = 2.0
    session.change_guidance(0.5)
    assert session.dream.guidance == 2.5 and session.message == "guidance: 2.5"
    for _ in range(9):
        session.change_guidance(-0.5)
    assert session.dream.guidance == 0.0


def test_the_first_step_of_guidance_is_from_the_bundles_own(monkeypatch):
    own = SamplingOptions(guidance=3.0)
    monkeypatch.setattr(DreamWalk, "simulator", simulator_with(own))
    session = make_session()
    session.change_guidance(0.5)
    assert session.dream.guidance == 3.5


def test_an_action_that_a_world_does_not_have_is_refused_by_name():
    session = make_session(real=True)
    with pytest.raises(ValueError, match=r"no action 7 in the real: it has Discrete\(4\)"):
        session.views[1].step(7)
    assert places(session) == [100, 100]
