"""A person plays a real game, and what they played is a dataset."""

import gymnasium
import numpy as np
import pygame
import pytest

from collectors.dataset.dataset import Dataset, DatasetError, DatasetWriter, write_shard
from collectors.dataset.episode import Episode
from collectors.recording.person import PersonRecorder
from collectors.settings.values import SettingsError
from neural_envs.commands import record
from neural_envs.commands.record import RecordSettings, RecordWindow, game_keys, main
from tests.collectors import counting_env, parts_games

LEFT, RIGHT = pygame.K_LEFT, pygame.K_RIGHT


@pytest.fixture(autouse=True)
def unseen_display(monkeypatch):
    """A screen of SDL's that nobody sees, and a clock that waits for nobody."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    yield
    pygame.quit()


class Clockless:
    def tick(self, fps):
        return 0


def press(key: int, up: bool = True) -> None:
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))
    if up:
        pygame.event.post(pygame.event.Event(pygame.KEYUP, key=key))


def window_of(tmp_path, env, **settings) -> RecordWindow:
    pygame.display.init()
    made = gymnasium.make("collectors:AnyGame-v0", env=env, size=16)
    recorder = PersonRecorder(made, tmp_path / "out")
    chosen = RecordSettings(env=env, **settings)
    window = RecordWindow(recorder, game_keys(made, chosen.keys)[0], chosen, env)
    window.show()
    window.window._clock = Clockless()
    return window


def play(window: RecordWindow, *keys: int) -> None:
    """Each key is pressed, and a frame's time goes by."""
    for key in keys:
        press(key)
        for event in pygame.event.get():
            window.handle(event)
        window.tick()


def test_a_game_that_waits_takes_a_step_per_press_and_keys_by_the_names_of_its_actions(tmp_path):
    window = window_of(tmp_path, "MiniGrid-Empty-5x5-v0")
    assert window.waits and "left" in game_keys(window.recorder.env)[1]
    window.tick()
    assert window.recorder.steps == 0
    play(window, LEFT, pygame.K_UP, RIGHT)
    window.tick()
    assert window.recorder.steps == 3
    data = window.recorder.close()
    names = data.spec["action_names"]
    assert [names[action] for action in data.episode(0).actions] == ["left", "forward", "right"]
    assert data.episode(0).truncations.tolist() == [False, False, True]
    assert data.manifest["mixture"] == [["person", 1.0]]


def test_what_is_recorded_is_what_the_game_gives_for_these_actions(tmp_path):
    window = window_of(tmp_path, "FrozenLake-v1", wait=True)
    play(window, *[pygame.K_2] * 3, pygame.K_r, pygame.K_1)  # FrozenLake's actions by their numbers
    data = window.recorder.close()
    env = gymnasium.make("collectors:AnyGame-v0", env="FrozenLake-v1", size=16)
    for number, episode in enumerate(map(data.episode, range(len(data.episodes)))):
        frame, _ = env.reset(seed=number)
        for step, action in enumerate(episode.actions):
            np.testing.assert_array_equal(episode.frames[step], frame)
            frame, reward, terminated, truncated, _ = env.step(int(action))
            assert episode.rewards[step] == reward and episode.terminations[step] == terminated


def test_the_next_session_adds_games_with_other_seeds_and_another_game_is_refused(tmp_path):
    counting_env.register()
    env = gymnasium.make("CountingAlone-v0")
    for _ in range(2):
        recorder = PersonRecorder(env, tmp_path / "out", seed=5)
        while not recorder.step(1):
            pass
        recorder.begin()
        recorder.step(0)
        recorder.close()
    data = Dataset(tmp_path / "out", verify=True)
    assert [row.seed for row in data.episodes] == [5, 6, 7, 8]
    assert [bool(data.episode(n).terminations[-1]) for n in (0, 1)] == [True, False]
    other = gymnasium.make("collectors:AnyGame-v0", env="FrozenLake-v1", size=16)
    with pytest.raises(DatasetError, match="holds other games"):
        PersonRecorder(other, tmp_path / "out")


def test_long_play_is_written_in_shards_and_nothing_is_lost(tmp_path, monkeypatch):
    counting_env.register()
    monkeypatch.setattr("collectors.recording.person.SHARD_STEPS", 10)
    recorder = PersonRecorder(gymnasium.make("CountingAlone-v0"), tmp_path / "out")
    while recorder.games < 6:
        if recorder.step(1):
            recorder.begin()
    data = recorder.close()
    assert data.steps == recorder.steps and len(data.shards) > 1


def test_the_command_records_until_escape_and_prints_keys_and_counts(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        record.RecordWindow, "tick", lambda self: (play_real(self), setattr(self, "open", False))
    )

    def play_real(window):
        window.recorder.step(0)

    out = str(tmp_path / "out")
    assert main(["--env", "FrozenLake-v1", "--options", "size=16", "--out", out]) == 0
    text = capsys.readouterr().out
    assert "keys: 0: 0, 1: 1" in text and "1 games and 1 steps more, 1 in all" in text
    assert Dataset(out).steps == 1
    assert main(["snake", "--options", "nothing=1", "--out", str(tmp_path / "b")]) == 1
    assert "nothing" in capsys.readouterr().err


def test_own_keys_record_the_actions_that_they_stand_for(tmp_path):
    window = window_of(tmp_path, "MiniGrid-Empty-5x5-v0", keys=("left=j", "forward=i"))
    play(window, pygame.K_j, pygame.K_i, RIGHT, LEFT)
    data = window.recorder.close()
    names = data.spec["action_names"]
    assert [names[action] for action in data.episode(0).actions] == ["left", "forward", "right"]


def test_own_keys_move_the_parts_of_an_action_and_are_named(tmp_path):
    parts_games.register()
    file = tmp_path / "keys.json"
    file.write_text('{"j": [-0.5, 0], "up": [0, 0.25], "x": [1, 0.5]}')
    env = gymnasium.make("collectors:AnyGame-v0", env="Dot-v0", size=16)
    _, described = game_keys(env, (str(file),))
    assert described == "no key: rest, j: 0 -0.5, up: 1 0.25, x: 0 1 and 1 0.5"


def test_the_own_keys_of_a_game_that_has_a_map_are_known_by_their_names(tmp_path):
    env = gymnasium.make("RealSnake-v0")
    keys, described = game_keys(env, ("left=j",))
    assert "j: left" in described and not keys.knows(LEFT) and keys.knows(RIGHT)


def test_wrong_keys_are_a_sentence_and_no_folder_is_made(tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["snake", "--out", out, "--keys", "jump=x"]) == 1
    error = capsys.readouterr().err
    assert "RealSnake" not in error and "no action 'jump'; there are up, down" in error
    assert not (tmp_path / "out").exists()


def test_a_game_or_an_id_is_named_not_both():
    with pytest.raises((ValueError, SettingsError), match="name the game to play"):
        RecordSettings()


@pytest.fixture
def many_rewards():
    """Its id is of this test alone."""
    name, counting_env.ManyRewards.given = "ManyRewards-v0", 0
    gymnasium.register(name, "tests.collectors.counting_env:ManyRewards")
    yield lambda: gymnasium.make(name)
    del gymnasium.registry[name]


def play_on(recorder, steps: int) -> None:
    for _ in range(steps):
        if recorder.step(1):
            recorder.begin()


def test_a_game_of_too_many_rewards_ends_with_the_remedy_and_keeps_what_was_played(
    tmp_path, many_rewards, monkeypatch
):
    monkeypatch.setattr("collectors.recording.person.SHARD_STEPS", 100)
    recorder = PersonRecorder(many_rewards(), tmp_path / "out")
    with pytest.raises(DatasetError, match="256 different rewards.*--options reward=sign"):
        play_on(recorder, 300)
    data = recorder.close()
    assert data is not None and data.steps == recorder.steps == 255 and len(data.shards) > 1
    assert len(data.spec["reward_values"]) == 255
    again = PersonRecorder(many_rewards(), tmp_path / "out")
    counting_env.ManyRewards.given = 1000
    with pytest.raises(DatasetError, match="256 different rewards"):
        again.step(1)


def test_rewards_are_counted_over_all_shards_and_nothing_of_the_shard_too_many_is_listed(
    tmp_path, many_rewards
):
    recorder = PersonRecorder(many_rewards(), tmp_path / "a")
    play_on(recorder, 200)
    data = recorder.close()
    assert data is not None
    writer = DatasetWriter(tmp_path / "b", {**recorder._header})
    games = [data.episode(row.id) for row in data.episodes]
    writer.add(write_shard(tmp_path / "b", 0, 200, games))
    more = [Episode(*game[:2], game.rewards + 100, *game[3:]) for game in games]
    with pytest.raises(DatasetError, match="400 different rewards"):
        writer.add(write_shard(tmp_path / "b", 1, 200, more))
    assert Dataset(tmp_path / "b", verify=True).steps == 200


def test_signs_are_not_added_to_games_with_raw_rewards(tmp_path):
    for reward in ("raw", "sign"):
        env = gymnasium.make("collectors:AnyGame-v0", env="FrozenLake-v1", size=16, reward=reward)
        if reward == "sign":
            with pytest.raises(DatasetError, match="other rewards; choose another --out"):
                PersonRecorder(env, tmp_path / "out")
        else:
            recorder = PersonRecorder(env, tmp_path / "out")
            recorder.step(1)
            recorder.close()


def test_what_was_played_is_kept_when_the_game_or_the_window_breaks(tmp_path, capsys, monkeypatch):
    def breaks(window):
        window.recorder.step(0)
        raise DatasetError("the game is lost")

    monkeypatch.setattr(record.RecordWindow, "tick", breaks)
    out = str(tmp_path / "out")
    assert main(["--env", "FrozenLake-v1", "--options", "size=16", "--out", out]) == 1
    printed = capsys.readouterr()
    assert "the game is lost" in printed.err and "1 steps more, 1 in all" in printed.out
    assert Dataset(out).steps == 1


def test_what_is_played_may_be_compressed(tmp_path):
    pytest.importorskip("zstandard")
    counting_env.register()
    recorder = PersonRecorder(gymnasium.make("CountingAlone-v0"), tmp_path / "out", compress=True)
    recorder.step(1)
    data = recorder.close()
    assert data is not None and list(data.path.glob("*_frames.zst"))
    assert data.episode(0).frames.shape == (2, 8, 8, 3)
