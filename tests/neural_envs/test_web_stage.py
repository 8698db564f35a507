"""One visitor's dream without a network: what each message does."""

from __future__ import annotations

import base64

import numpy as np

from neural_envs.web import protocol
from neural_envs.web.game import MOST_SNAPSHOTS, GameSession
from tests.neural_envs.web_double import COUNTING, RIGHT, CountingShelf
from tests.oracles import COUNT, shown


def test_snapshots_go_back_and_the_oldest_make_room():
    stage = GameSession(CountingShelf(), COUNTING, seed=0)
    stage.apply(protocol.Act(RIGHT, True))
    stage.tick()
    stage.apply(protocol.Keep())
    stage.tick()
    stage.apply(protocol.Keep())
    rows = [said for said in stage.take_said() if said["type"] == "snapshots"][-1]["kept"]
    assert [row["step"] for row in rows] == [1, 2] and base64.b64decode(
        rows[0]["picture"]
    ).startswith(b"\x89PNG")
    stage.apply(protocol.Back(rows[0]["id"]))
    assert (
        shown(stage.picture()[1][0], COUNT) == 1
        and len(stage.session.views[0].recorder.actions) == 1
    )
    for _ in range(MOST_SNAPSHOTS):
        stage.apply(protocol.Keep())
    assert len(stage.kept) == MOST_SNAPSHOTS and rows[0]["id"] not in stage.kept


def test_a_policy_plays_and_hands_back():
    stage = GameSession(CountingShelf(), COUNTING, seed=0)
    stage.apply(protocol.Player("random"))
    stage.tick()
    assert stage.picture()[0]["step"] == 1 and stage.picture()[0]["player"] == "random"
    stage.apply(protocol.Player("you"))
    stage.apply(protocol.Pause(True))
    stage.tick()
    assert stage.picture()[0]["step"] == 1 and stage.still


def test_a_seed_gives_its_game_again():
    stage = GameSession(CountingShelf(), COUNTING, seed=5)
    first = stage.picture()[1][0]
    stage.apply(protocol.New(6))
    stage.apply(protocol.New(5))
    assert (stage.picture()[1][0] == first).all() and stage.picture()[0]["seed"] == 5


def test_real_game_difference_and_resync_beside_the_dream():
    stage = GameSession(CountingShelf("snake"), CountingShelf("snake").find("snake"), seed=1)
    stage.apply(protocol.Panes(real=True, difference=True))
    header, (dream, real, difference) = stage.picture()
    assert header["titles"] == ["dream", "real", "difference"] and (dream == real).all()
    assert np.ptp(difference, axis=-1).max() == 0  # grey: they agree
    stage.apply(protocol.Player("astar"))
    for _ in range(12):
        stage.tick()
    stage.apply(protocol.Resync())
    _, (dream, real, difference) = stage.picture()
    assert (dream == real).all() and stage.take_said()[-1]["type"] == "chosen"
    stage.apply(protocol.Panes(real=False, difference=False))
    assert stage.picture()[0]["titles"] == ["dream"] and stage.picture()[0]["step"] == 12


def test_a_missing_real_game_is_a_sentence_with_its_command_and_the_dream_goes_on(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "envpool", None)
    shelf = CountingShelf("coinrun")
    stage = GameSession(shelf, shelf.find("coinrun"), seed=1)
    stage.apply(protocol.Panes(real=True, difference=False))
    notice, chosen = stage.take_said()
    assert (
        "pip install" in notice["message"]
        and "coinrun" in notice["message"]
        and chosen["real"] is False
    )
    stage.tick()
    assert stage.picture()[0]["titles"] == ["dream"] and stage.picture()[0]["step"] == 1
