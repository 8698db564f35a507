"""Dreams as files: the same frames again, whatever was done while they were dreamed, and what is
refused.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from collectors.untrusted_files import DamagedFileError
from neural_envs.commands.replay import main
from neural_envs.env import NeuralEnv
from neural_envs.play.config import PlayConfig
from neural_envs.play.twins import make_session
from neural_envs.replays import dream_format
from neural_envs.replays.dream_format import DreamFileError, check_head, pack, unpack
from neural_envs.replays.recorder import DreamRecorder
from neural_envs.replays.replay_file import DreamFile, check, frames_hash, replay
from tests.oracles import counting_bundle, shown


def recorded(
    env: NeuralEnv,
    seed: int | None = 3,
    steps: int = 8,
    recorder: DreamRecorder | None = None,
    **reset,
):
    """(the recorder, the frames) of a dream that goes through its actions in turn, at most to its
    end.
    """
    frame, _ = env.reset(seed=seed, **reset)
    recorder = recorder or DreamRecorder()
    recorder.start(env, seed, reset.get("options", {}).get("context"))
    frames = [frame]
    for number in range(steps):
        action = number % env.action_space.n
        frame, *outcome, _ = env.step(action)
        recorder.add(action, frame, *outcome)
        frames.append(frame)
        if outcome[1] or outcome[2]:
            break
    return recorder, frames


@pytest.fixture(scope="module")
def snake() -> DreamFile:
    return recorded(NeuralEnv("snake"))[0].file()


def altered(file: DreamFile, **members: bytes) -> bytes:
    """The file with other bytes, or none where they are empty, in some of its members; `dream` is
    the JSON.
    """
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(file.to_bytes())) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = members.get(name.partition(".")[0], old.read(name))
            if data:
                new.writestr(name, data)
    return target.getvalue()


def test_a_file_dreams_the_same_frames_again(snake):
    again = DreamFile.from_bytes(snake.to_bytes())
    frames = list(replay(again))
    assert len(frames) == len(snake.actions) + 1 and frames[0].shape == (64, 64, 3)
    assert frames_hash(frames) == snake.frames_hash and check(again) == ""
    assert again.world == "snake" and again.bundle == "snake" and again.seed == 3


def test_it_holds_no_frame_but_those_the_dream_starts_from(snake):
    with zipfile.ZipFile(io.BytesIO(snake.to_bytes())) as archive:
        names = set(archive.namelist())
    assert names == {
        "dream.json",
        *(f"{n}.npy" for n in ("context_frames", "context_actions", "actions", "rewards")),
    } | {"ends.npy"}
    assert snake.context_frames.shape == (1, 64, 64, 3) and len(snake.to_bytes()) < 4000


def test_a_later_game_of_the_same_environment_goes_on_in_its_random_stream(counting):
    env = NeuralEnv(counting)
    recorder, _ = recorded(env)
    recorder, frames = recorded(env, seed=None, recorder=recorder)
    file = recorder.file()
    assert file.noise[1] > 1 and file.seed is None
    np.testing.assert_array_equal(list(replay(file)), frames)


def test_a_start_from_given_frames_is_kept_as_the_model_takes_it(counting):
    start = np.zeros((8, 8, 3), np.uint8)
    start[0, 2, 0] = 3
    recorder, frames = recorded(NeuralEnv(counting), options={"context": start})
    assert recorder.file().context_frames.shape == (2, 8, 8, 3)
    np.testing.assert_array_equal(list(replay(recorder.file())), frames)


def test_a_resync_and_changed_settings_are_part_of_the_dream(counting):
    env = NeuralEnv(counting)
    recorder, frames = recorded(env, steps=2)
    env.sampler_steps = 3
    context = np.full((2, 8, 8, 3), 2, np.uint8), np.array([1])
    env.continue_from(context)
    recorder.resync(context)
    frame, *outcome, _ = env.step(2)
    recorder.add(2, frame, *outcome)
    env.sampler_steps = 2
    frame_2, *outcome, _ = env.step(1)
    recorder.add(1, frame_2, *outcome)
    file = DreamFile.from_bytes(recorder.file().to_bytes())
    assert [(s.start, s.settings["sampler_steps"], s.frames is None) for s in file.segments] == [
        (2, 3, False),
        (3, 2, True),
    ]
    model = env.simulator.model
    model.steps_asked.clear()
    np.testing.assert_array_equal(list(replay(file, counting)), [*frames, frame, frame_2])
    assert shown(frame, 1) == 1 + 2


def test_a_snapshot_of_the_recorder_goes_its_own_way(counting):
    env = NeuralEnv(counting)
    recorder, frames = recorded(env, steps=2)
    branch, state = recorder.copy(), env.get_state()
    frame, *outcome, _ = env.step(3)
    recorder.add(3, frame, *outcome)
    env.set_state(state)
    other, *outcome, _ = env.step(1)
    branch.add(1, other, *outcome)
    np.testing.assert_array_equal(list(replay(recorder.file())), [*frames, frame])
    np.testing.assert_array_equal(list(replay(branch.file())), [*frames, other])


def test_a_session_hands_out_the_game_that_runs_or_the_one_before():
    session = make_session(PlayConfig("snake", policy="random", seed=1))
    view = session.views[0]
    assert len(view.dream_file().actions) == 0
    session.single_step()
    session.snapshot()
    session.single_step()
    assert len(view.dream_file().actions) == 2
    session.restore()
    assert len(view.dream_file().actions) == 1
    session.single_step()
    first = view.dream_file()
    assert frames_hash(replay(first)) == first.frames_hash and first.seed == 1
    session.reset()
    assert view.dream_file().frames_hash == first.frames_hash
    session.single_step()
    assert (
        len(view.dream_file().actions) == 1 and view.dream_file().frames_hash != first.frames_hash
    )


def test_another_bundle_of_that_name_another_torch_or_processor_are_named(snake, monkeypatch):
    assert "other weights" in check(replace(snake, bundle_hash="0" * 64))
    assert "no bundle 'gone'" in check(replace(snake, bundle="gone"))
    reason = check(
        replace(snake, platform={**snake.platform, "torch": "2.0.0", "capability": "none such"})
    )
    assert "torch version 2.0.0 there" in reason and "vector unit none such there" in reason


def test_a_dream_of_another_world_is_refused(snake):
    with pytest.raises(DreamFileError, match="a dream of snake, the bundle one of pong"):
        list(replay(snake, "pong"))


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"dream": b"not json"}, "not a dream, or it is damaged"),
        ({"dream": b'{"format_version": 9}'}, "format 9, this version of neural-envs reads 1"),
        ({"dream": b'{"format_version": 1, "segments": []}'}, "missing keys"),
        ({"dream": b""}, "dream.json"),
        ({"actions": b""}, "actions"),
        ({"actions": b"\x93NUMPY"}, "damaged"),
    ],
)
def test_a_damaged_file_is_one_sentence(snake, members, words):
    with pytest.raises(DreamFileError, match=words):
        DreamFile.from_bytes(altered(snake, **members))


HEAD = {
    "bundle": "snake",
    "bundle_hash": "0",
    "world": "snake",
    "seed": 1,
    "noise": [1, 0],
    "settings": {},
    "frames_hash": "0",
    "platform": {},
    "segments": [],
}
SEGMENT = {"start": 0, "noise": [1, 0], "settings": {}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"surprise": 1}, r"unknown keys \['surprise'\], missing keys \[\]"),
        ({"bundle": 1}, "bundle is no text of at most 4000 letters"),
        ({"world": "s" * 4001}, "world is no text of at most 4000 letters"),
        ({"frames_hash": None}, "frames_hash is no text"),
        ({"seed": 2**64}, "the seed is no whole number of 64 bits"),
        ({"seed": 1.0}, "the seed is no whole number of 64 bits"),
        ({"seed": True}, "the seed is no whole number of 64 bits"),
        ({"platform": []}, "the platform is no table"),
        ({"platform": {"torch": "2" * 4000}}, "the platform is no table, or too long"),
        ({"segments": {}}, "segments is no list"),
        ({"segments": [{"start": 0}]}, "a segment has other entries"),
        ({"segments": [{**SEGMENT, "more": 1}]}, "a segment has other entries"),
        ({"segments": [{**SEGMENT, "start": -1}]}, "a segment starts at no whole number"),
        ({"segments": [{**SEGMENT, "noise": [1]}]}, "a random stream is a seed and a step"),
        ({"segments": [{**SEGMENT, "settings": 3}]}, "settings is no table"),
        ({"noise": [2**63, 0]}, "there is no such random stream"),
        ({"noise": [1, -1]}, "there is no such random stream"),
        ({"settings": {"volume": 3}}, "settings has entries that no dream has"),
        ({"settings": {"sampler_steps": 1001}}, "sampler_steps is no whole number of 1 to 1000"),
        ({"settings": {"sampler_steps": 0}}, "sampler_steps is no whole number of 1 to 1000"),
        ({"settings": {"guidance": -0.1}}, r"guidance is no number of 0 to 1e\+06"),
        ({"settings": {"temperature": "hot"}}, "temperature is no number"),
        ({"settings": {"min_trust": 1.5}}, "min_trust is no number of 0 to 1$"),
        ({"settings": {"backend": "x" * 41}}, "backend is no name"),
    ],
)
def test_the_head_of_a_dream_says_what_the_format_says_or_is_refused(change, words):
    check_head(HEAD)
    with pytest.raises(DamagedFileError, match=words):
        check_head({**HEAD, **change})
    with pytest.raises(
        DreamFileError, match=f"a.dream is not a dream, or it is damaged: .*{words}"
    ):
        unpack(pack({**HEAD, **change}, {}), "a.dream")


def test_a_head_lacks_no_key():
    for key in HEAD:
        with pytest.raises(DamagedFileError, match=f"missing keys \\['{key}'\\]"):
            check_head({name: value for name, value in HEAD.items() if name != key})


def test_arrays_that_do_not_fit_and_pickles_are_refused(snake):
    with pytest.raises(DreamFileError, match="do not fit together"):
        DreamFile.from_bytes(replace(snake, rewards=snake.rewards[:-1]).to_bytes())
    pickled = io.BytesIO()
    np.lib.format.write_array(pickled, np.array([{}], object), allow_pickle=True)
    with pytest.raises(DreamFileError, match="damaged"):
        DreamFile.from_bytes(altered(snake, actions=pickled.getvalue()))


def test_a_file_that_unpacks_to_too_much_is_refused_before_anything_is_unpacked(snake, monkeypatch):
    data = altered(snake, dream=b" " * 3 * 2**20)
    monkeypatch.setattr(dream_format, "MAX_UNPACKED_BYTES", 2**21)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(DreamFileError, match="unpacks to more than 2 MB"):
        DreamFile.from_bytes(data)


def test_bytes_that_are_no_zip_and_files_that_are_not_there_are_refused(snake, tmp_path):
    for data in (b"", b"GIF89a", snake.to_bytes()[:-40]):
        with pytest.raises(DreamFileError, match="this file is not a dream"):
            DreamFile.from_bytes(data)
    with pytest.raises(DreamFileError, match=r"cannot read .*none\.dream: No such file"):
        DreamFile.load(tmp_path / "none.dream")


def test_the_verb_says_that_frames_are_the_same_and_writes_the_film(snake, tmp_path, capsys):
    path = snake.save(tmp_path / "deep" / "a.dream")
    assert [p.name for p in path.parent.iterdir()] == ["a.dream"]
    assert main([str(path), "--out", str(tmp_path / "a.gif"), "--scale", "1"]) == 0
    assert (
        f"the same {len(snake.actions) + 1} frames" in capsys.readouterr().out
        and (tmp_path / "a.gif").stat().st_size
    )


def test_the_verb_says_that_frames_are_not_the_same_and_why(snake, tmp_path, capsys):
    path = replace(snake, frames_hash="0" * 64).save(tmp_path / "a.dream")
    assert main([str(path)]) == 1
    assert "not the same frames" in capsys.readouterr().err
    other = replace(snake, bundle_hash="0" * 64, frames_hash="0" * 64).save(tmp_path / "b.dream")
    assert main([str(other)]) == 1
    assert "other weights or settings" in capsys.readouterr().err


@pytest.mark.parametrize("data", [None, b"hello"])
def test_the_verb_fails_with_one_sentence(data, tmp_path, capsys):
    path = tmp_path / "a.dream"
    if data:
        path.write_bytes(data)
    assert main([str(path)]) == 1
    assert capsys.readouterr().err.startswith("neural-envs replay: ")


def test_a_model_outside_of_any_bundle_says_so():
    file = recorded(NeuralEnv(counting_bundle()))[0].file()
    assert file.bundle_hash == "" and "cannot be dreamed here" in check(file)


def test_a_session_that_resyncs_to_the_real_game_is_dreamed_again():
    session = make_session(PlayConfig("snake", real=True, policy="astar", seed=4))
    for _ in range(3):
        session.single_step()
    session.resync()
    for _ in range(3):
        session.single_step()
    file = session.views[0].dream_file()
    assert [segment.start for segment in file.segments] == [3] and len(file.actions) == 6
    assert frames_hash(replay(file)) == file.frames_hash
