"""Keys of one's own on the page: which dreams have them, that they play, and that they are said."""

from __future__ import annotations

import pytest

from neural_envs.own_keys import KeysError, own_keys
from neural_envs.web import catalogue as catalogues
from neural_envs.web import protocol
from neural_envs.web.catalogue import BundleCatalogue
from neural_envs.web.game import GameSession
from neural_envs.web.keyboards import keyboards
from neural_envs.web.server import main
from tests.neural_envs.test_dream_actions import BOX, PAD, bundle_of
from tests.neural_envs.web_double import COUNTING, RIGHT, CountingCatalogue, Page
from tests.oracles import ACTION_SUM, shown
from world_models.world_spec import WorldSpec

LEFT = 2


def game(names) -> WorldSpec:
    return WorldSpec("game", (8, 8, 3), names, (0.0,), 10, 100)


SPECS = {"walk": game(("left", "right")), "shot": game(("left", "fire"))}


def counting(*words: str) -> CountingCatalogue:
    """The catalogue of the counting dream with keys of one's own."""
    found = CountingCatalogue()
    found.keyboards["counting"] = own_keys(words, found.loaded["counting"].model.spec)
    return found


def of_parts(space, file, text: str) -> tuple[CountingCatalogue, catalogues.BundleInfo]:
    """The catalogue of a dream whose actions have parts, with the keys of this JSON."""
    file.write_text(text)
    found, info = CountingCatalogue(), catalogues.BundleInfo("parts", "parts", "parts")
    found.loaded["parts"] = bundle_of(space)
    found.keyboards["parts"] = own_keys((str(file),), found.loaded["parts"].model.spec)
    return found, info


def action_after(game: GameSession, key: str = "", button: int | None = None):
    """The action that is next when a key or a button was pressed and let go."""
    for down in (True, False):
        if button is not None:
            game.apply(protocol.Action(button, down))
        else:
            game.apply(protocol.Key(key, down))
    return game.session.keys.next_action()


def test_without_bundles_of_ones_own_keys_are_those_of_every_dream_that_has_the_actions():
    assert set(keyboards(("left=j",), SPECS, ())) == {"walk", "shot"}
    assert set(keyboards(("left=j", "fire=k"), SPECS, ())) == {"shot"}


def test_bundles_that_are_named_need_the_actions_and_others_keep_their_keys():
    assert set(keyboards(("left=j",), SPECS, ("walk",))) == {"walk"}
    with pytest.raises(KeysError, match="no action 'fire'; there are left, right"):
        keyboards(("fire=k",), SPECS, ("shot", "walk"))


def test_an_action_of_no_dream_is_the_sentence_of_play():
    with pytest.raises(KeysError, match="game has no action 'jump'; there are left, right"):
        keyboards(("jump=x",), SPECS, ())


def test_a_key_that_no_page_sends_is_refused(tmp_path):
    for key in ("\\u0007", "\\ud83d\\ude00"):
        (tmp_path / "keys.json").write_text(f'{{"{key}": "left"}}')
        with pytest.raises(KeysError, match="the page cannot tell the key"):
            keyboards((str(tmp_path / "keys.json"),), SPECS, ())


def test_a_server_with_wrong_keys_does_not_start(capsys, monkeypatch):
    def listen(*address):
        raise AssertionError("it listens")

    monkeypatch.setattr("neural_envs.web.server.listen", listen)
    assert main(["--port", "0", "--keys", "jump=x"]) == 1
    error = capsys.readouterr().err
    assert "no action 'jump'; there are up" in error and error.count("\n") == 1


def test_the_released_dreams_that_have_the_actions_have_the_keys():
    found = BundleCatalogue(keys=("left=j",))
    assert {"snake", "snake-eqm"} <= set(found.keyboards) and "pong" not in found.keyboards
    assert set(BundleCatalogue(("snake",), keys=("left=j",)).keyboards) == {"snake"}


def test_own_keys_play_the_dream_and_the_usual_ones_do_not(serve):
    catalogue = counting("right=j", "left=enter")
    game = GameSession(catalogue, COUNTING, seed=0)
    assert action_after(game, "ArrowRight") is None
    assert action_after(game, "j") == RIGHT
    assert action_after(game, "Enter") == LEFT
    assert action_after(game, "ArrowUp") == 0
    client = serve()
    client.app.state.shared.catalogue.keyboards = catalogue.keyboards
    page = Page(client)
    page.send("key", key="j", down=True)
    page.until(lambda header, _: header["step"] == 1)
    assert shown(page.frames[0], ACTION_SUM) == RIGHT


def test_the_page_learns_the_keys_and_says_them():
    about = GameSession(counting("right=j", "left=up+space", "up=enter"), COUNTING, seed=0).about()
    assert about["keys"] == "enter: up, s: down, up+space: left, j: right"
    assert {"j", " ", "Enter", "s"} <= set(about["letters"]) and "d" not in about["letters"]
    assert (
        GameSession(CountingCatalogue("snake"), CountingCatalogue("snake").find("snake")).about()[
            "keys"
        ]
        == ""
    )


def test_the_button_of_an_action_that_lost_its_keys_still_plays():
    game = GameSession(counting("up=right", "left=d"), COUNTING, seed=0)
    assert all(action_after(game, button=number) == number for number in range(4))


def test_own_keys_of_actions_in_parts_play_and_have_buttons(tmp_path):
    text = '{"j": [-0.5, 0], "l": [2, 0], "i": [0, 0.25], "x": [1, 1]}'
    catalogue, info = of_parts(BOX, tmp_path / "keys.json", text)
    game = GameSession(catalogue, info, seed=0)
    about = game.about()
    own, bounds = ["turn -0.5", "turn 2", "push 0.25", "turn 1 and push 1"], ["turn -2", "push 1"]
    assert set(about["actions"]) == {"rest", *own, *bounds} and about["actions"][0] == "rest"
    assert about["idle"] == 0
    assert about["keys"].endswith("j: turn -0.5, l: turn 2, i: push 0.25, x: turn 1 and push 1")
    rows = [(-0.5, 0.0), (2.0, 0.0), (0.0, 0.25), (1.0, 1.0), (-2.0, 0.0), (0.0, 1.0)]
    for name, row in zip(own + bounds, rows, strict=True):
        assert action_after(game, button=about["actions"].index(name)) == row
    game.apply(protocol.Key("j", True))
    game.apply(protocol.Key("i", True))
    game.session.keys.taps.clear()
    assert game.session.keys.next_action() == (-0.5, 0.25)
    game.tick()
    assert game.show()[0]["step"] == 1 and not game.take_messages()


def test_own_keys_of_a_multidiscrete_action_play(tmp_path):
    catalogue, info = of_parts(PAD, tmp_path / "keys.json", '{"q": "turn 2", "space": [0, 8]}')
    game = GameSession(catalogue, info, seed=0)
    assert action_after(game, "q") == (2, 7) and action_after(game, " ") == (0, 8)
    game.tick()
    assert game.show()[0]["step"] == 1
