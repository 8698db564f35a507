"""To Minari and back without loss."""

import json

import gymnasium
import numpy as np
import pytest

from collectors.dataset.dataset import Dataset, DatasetError
from collectors.dataset.minari import export_dataset, import_dataset
from collectors.interchange.export_command import main as export_main
from collectors.interchange.import_command import main as import_main
from collectors.interchange.options import SourceOptions
from collectors.recording.collect import collect
from tests.collectors import counting_env

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
minari = pytest.importorskip("minari")
pytest.importorskip("h5py")


@pytest.fixture(autouse=True)
def minari_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "shelf"))
    counting_env.register()


def foreign(name, observations, actions, space, action_space, **options) -> None:
    """A set of one episode that somebody else made."""
    from minari.data_collector import EpisodeBuffer

    steps = len(actions)
    last_step = np.arange(steps) == steps - 1
    episode = EpisodeBuffer(
        id=0,
        observations=observations,
        actions=actions,
        rewards=np.arange(steps) / 4,
        terminations=last_step,
        truncations=np.zeros(steps, bool),
        infos={},
    )
    minari.create_dataset_from_buffers(
        name,
        [episode],
        observation_space=space,
        action_space=action_space,
        jpeg_encoding=False,
        data_format="hdf5",
    )


def pixels(*shape) -> gymnasium.spaces.Box:
    return gymnasium.spaces.Box(0, 255, shape, np.uint8)


@pytest.mark.parametrize("game", ["RealSnake-v0", "Counting-v0", "AnyGame-v0"])
def test_a_dataset_comes_back_byte_by_byte(tmp_path, capsys, game):
    options = {"env": "FrozenLake-v1", "size": 16} if game == "AnyGame-v0" else {}
    before = collect(
        game, tmp_path / "before", 300, "mix", seed=3, shard_steps=120, env_options=options
    )
    assert export_main([str(tmp_path / "before"), "--minari", "ours/mix-v0"]) == 0
    assert import_main(["ours/mix-v0", "--out", str(tmp_path / "after")]) == 0
    after = Dataset(tmp_path / "after", verify=True)
    assert (
        after.fingerprint == before.fingerprint
        and after.fingerprint[:16] in capsys.readouterr().out
    )
    for file in (tmp_path / "before").iterdir():
        assert file.read_bytes() == (tmp_path / "after" / file.name).read_bytes(), file.name


def test_minari_itself_sees_frames_seeds_ends_and_the_game(tmp_path):
    dataset = collect("RealSnake-v0", tmp_path / "d", 200, "mix", seed=3)
    export_dataset(tmp_path / "d", "snake/mix-v0", author="somebody")
    found = minari.load_dataset("snake/mix-v0")
    assert (
        found.total_steps == dataset.steps and found.recover_environment().spec.id == "RealSnake-v0"
    )
    for episode, row in zip(found.iterate_episodes(), dataset.episodes, strict=True):
        own = dataset.episode(row.id)
        np.testing.assert_array_equal(episode.observations, own.frames)
        np.testing.assert_array_equal(episode.actions, own.actions)
        np.testing.assert_array_equal(episode.terminations, own.terminations)
        assert episode.rewards.dtype == np.float32 and len(episode.observations) == row.length + 1
    metadata = list(found.storage.get_episode_metadata([0]))[0]
    assert (metadata["seed"], metadata["policy"]) == (
        dataset.episodes[0].seed,
        dataset.episodes[0].policy,
    )


def test_a_foreign_set_of_pictures_is_read_and_its_rewards_are_found(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    foreign(
        "theirs/pictures-v0",
        frames,
        np.arange(5) % 3,
        pixels(32, 32, 3),
        gymnasium.spaces.Discrete(3),
    )
    dataset = import_dataset("theirs/pictures-v0", tmp_path / "d")
    np.testing.assert_array_equal(dataset.episode(0).frames, frames)
    assert dataset.spec["reward_values"] == [0.0, 0.25, 0.5, 0.75, 1.0] and dataset.spec[
        "action_names"
    ] == list("012")
    assert import_dataset("theirs/pictures-v0", tmp_path / "e", SourceOptions(size="16")).spec[
        "frame_shape"
    ] == [
        16,
        16,
        3,
    ]


@pytest.mark.parametrize(
    "actions",
    [gymnasium.spaces.Box(0, 2, (2,)), gymnasium.spaces.MultiDiscrete([2, 3]),
     gymnasium.spaces.Discrete(3, start=4)],
    ids=str,
)  # fmt: skip
def test_a_foreign_set_keeps_its_actions(tmp_path, actions):
    taken = np.stack([actions.sample() for _ in range(3)])
    frames = np.zeros((4, 32, 32, 3), np.uint8)
    foreign("theirs/parts-v0", frames, taken, pixels(32, 32, 3), actions)
    dataset = import_dataset("theirs/parts-v0", tmp_path / "d")
    np.testing.assert_array_equal(dataset.episode(0).actions, taken)
    assert dataset.actions.to_gymnasium() == actions


def test_a_foreign_set_is_read_by_its_key_and_of_stacks_the_newest_image(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (4, 4, 32, 32), dtype=np.uint8)
    space = gymnasium.spaces.Dict({"pov": pixels(4, 32, 32), "map": pixels(32, 32, 3)})
    observations = {"pov": frames, "map": np.zeros((4, 32, 32, 3), np.uint8)}
    foreign("theirs/keys-v0", observations, np.arange(3), space, gymnasium.spaces.Discrete(3))
    with pytest.raises(DatasetError, match="several images; choose one of .* by --key"):
        import_dataset("theirs/keys-v0", tmp_path / "d")
    options = SourceOptions(key="pov", world="mine", fps=9, actions=("a", "b", "c"))
    dataset = import_dataset("theirs/keys-v0", tmp_path / "d", options)
    np.testing.assert_array_equal(dataset.episode(0).frames[..., 0], frames[:, -1])
    assert (dataset.spec["world"], dataset.spec["fps"]) == ("mine", 9)
    assert dataset.spec["action_names"] == ["a", "b", "c"]


def test_bounds_and_spaces_that_are_given_are_those_of_a_foreign_set(tmp_path):
    endless = gymnasium.spaces.Box(-np.inf, np.inf, (2,))
    actions = np.array([[0.5, 0], [-1, 2], [0, 1]], np.float32)
    frames = np.zeros((4, 32, 32, 3), np.uint8)
    foreign("theirs/wide-v0", frames, actions, pixels(32, 32, 3), endless)
    dataset = import_dataset("theirs/wide-v0", tmp_path / "d", SourceOptions(bounds=(-1, 1, 0, 2)))
    assert dataset.spec["action_space"] == {"type": "Box", "low": [-1, 0], "high": [1, 2]}
    with pytest.raises(DatasetError, match="cannot be imported: --bounds has 3 pairs"):
        import_dataset("theirs/wide-v0", tmp_path / "e", SourceOptions(bounds=(-1, 1) * 3))
    with pytest.raises(DatasetError, match="cannot be imported: --actions has 1 names"):
        options = SourceOptions(bounds=(-2, 2), actions=("steer",))
        import_dataset("theirs/wide-v0", tmp_path / "e", options)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("action", r"episode 0, step 1: the action 7 is not in Discrete\(3\)"),
        ("frame", r"episode 0 has frames \(3, 32, 32, 3\)"),
    ],
)
def test_actions_outside_the_space_and_missing_frames_are_found_before_anything_is_copied(
    tmp_path, monkeypatch, wrong, words
):
    import h5py

    frames, space = np.zeros((4, 32, 32, 3), np.uint8), gymnasium.spaces.Discrete(3)
    foreign("theirs/wrong-v0", frames, np.arange(3), pixels(32, 32, 3), space)
    file = next((tmp_path / "shelf").rglob("main_data.hdf5"))
    with h5py.File(file, "a") as content:
        part = content["episode_0"]
        if wrong == "action":
            part["actions"][1] = 7
        else:
            del part["observations"]
            part["observations"] = frames[:3]
    monkeypatch.setattr("collectors.dataset.minari.write_dataset", lambda *args, **rest: 1 / 0)
    with pytest.raises(DatasetError, match=words):
        import_dataset("theirs/wrong-v0", tmp_path / "d")


def test_what_a_set_of_ours_says_itself_is_refused(tmp_path):
    collect("Counting-v0", tmp_path / "d", 50, "mix")
    export_dataset(tmp_path / "d", "ours/d-v0")
    with pytest.raises(DatasetError, match="--cut is for films, tables of others"):
        import_dataset("ours/d-v0", tmp_path / "e", SourceOptions(cut=3))
    found = import_dataset("ours/d-v0", tmp_path / "e", SourceOptions(world="mine", reward="sign"))
    assert found.spec["world"] == "mine" and found.spec["reward_values"] == [-1, 0, 1]


@pytest.mark.parametrize(
    ("space", "action_space", "words"),
    [
        (pixels(30, 40, 3), gymnasium.spaces.Discrete(3), r"shape \(30, 40, 3\).*--size 64"),
        (pixels(32, 32), gymnasium.spaces.Discrete(3), r"shape \(32, 32\).*--size 64"),
        (gymnasium.spaces.Box(-1, 1, (4,)), gymnasium.spaces.Discrete(3), "no images"),
        (
            pixels(32, 32, 3),
            gymnasium.spaces.Box(-np.inf, 2, (1,)),
            "without bounds.*--bounds=-1,1",
        ),
    ],
)
def test_a_set_of_another_shape_is_refused_with_a_sentence(tmp_path, space, action_space, words):
    observations = np.zeros((4, *space.shape), space.dtype)
    foreign(
        "theirs/other-v0",
        observations,
        np.zeros((3, *action_space.shape), action_space.dtype),
        space,
        action_space,
    )
    with pytest.raises(DatasetError, match=words):
        import_dataset("theirs/other-v0", tmp_path / "d")
    assert not list(tmp_path.glob("d*"))


def test_a_name_that_the_hub_may_have_too_is_told_how_to_ask_the_hub(tmp_path, capsys, monkeypatch):
    def asked(source):
        raise DatasetError(f"the Hub is asked for {source}")

    monkeypatch.setattr("collectors.interchange.import_command.hub_dataset", asked)
    out = str(tmp_path / "d")
    assert import_main(["ours/none-v0", out]) == 1
    assert "or name it hf:ours/none-v0 if the Hub has it" in capsys.readouterr().err
    assert import_main(["hf:ours/none-v0", out]) == 1
    assert "the Hub is asked for hf:ours/none-v0" in capsys.readouterr().err
    assert import_main(["D4RL/ours/none-v0", out]) == 1
    assert "hf:" not in capsys.readouterr().err


def test_names_that_are_taken_missing_or_wrong_are_refused(tmp_path):
    collect("Counting-v0", tmp_path / "d", 50, "mix")
    export_dataset(tmp_path / "d", "ours/d-v0")
    with pytest.raises(DatasetError, match="already holds ours/d-v0"):
        export_dataset(tmp_path / "d", "ours/d-v0")
    with pytest.raises(DatasetError, match="Minari holds no set ours/none-v0"):
        import_dataset("ours/none-v0", tmp_path / "e")
    for name in ("no version", "ours/d", "o/d-v0"):
        with pytest.raises(DatasetError, match="no id of a Minari set.*as pong/mix-v0"):
            export_dataset(tmp_path / "d", name)
    with pytest.raises(DatasetError, match="is not empty"):
        import_dataset("ours/d-v0", tmp_path / "d")


def test_an_export_that_fails_leaves_no_half_set(tmp_path, monkeypatch):
    collect("Counting-v0", tmp_path / "d", 50, "mix")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("collectors.dataset.minari._buffers", full)
    with pytest.raises(DatasetError, match="No space left"):
        export_dataset(tmp_path / "d", "ours/d-v0")
    assert not (tmp_path / "shelf" / "ours" / "d-v0").exists()
    assert json.loads((tmp_path / "d" / "manifest.json").read_text())["shards"]
