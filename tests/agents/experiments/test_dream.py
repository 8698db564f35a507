"""A game becomes a dream by one command: which stages there are, what is chosen, and that what is
done is not done again.
"""

import re

import numpy as np
import pytest

from agents.evaluation.evaluate import Report
from agents.experiments import dream as module
from agents.experiments.dream import SHARES, DreamConfig, DreamRun, main
from agents.experiments.dream_choice import choose_family
from collectors.dataset.dataset import Dataset, DatasetError, DatasetWriter, write_shard
from collectors.dataset.episode import Episode
from collectors.dataset.joining import add_recording
from collectors.policies.policies import RandomPolicy
from collectors.recording.collect import collect
from collectors.settings.parse import parse
from neural_envs.web.config import ServeConfig
from tests.collectors import counting_env

SPEC = {**counting_env.SPEC, "frame_shape": [32, 32, 3]}


def dataset_of(path, frames, spec=SPEC) -> Dataset:
    """One game with these frames."""
    steps = len(frames) - 1
    flags = np.arange(steps) == steps - 1
    zeros = np.zeros(steps)
    episode = Episode(
        frames, zeros.astype(int), zeros.astype("f4"), flags, flags & False, 0, "me", "train:a"
    )
    writer = DatasetWriter(path, {"spec": spec, "env_spec": "", "policy": "me", "seed": 0})
    writer.add(write_shard(path, 0, steps, [episode]))
    return Dataset(path)


def test_tiles_want_a_dictionary_what_scrolls_wants_codes_and_what_stays_is_copied(tmp_path):
    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 255, (40, 8, 8, 3), dtype=np.uint8).repeat(4, 1).repeat(4, 2)
    tiles[:, :, :] = tiles[rng.integers(0, 3, 40)]
    noise = rng.integers(0, 255, (40, 32, 32, 3), dtype=np.uint8)
    still = np.repeat(noise[:1], 40, 0)
    for step in range(40):
        still[step, :16, :16] = noise[step, :16, :16]
    found = [
        choose_family(dataset_of(tmp_path / str(n), frames))
        for n, frames in enumerate((tiles, noise, still))
    ]
    assert [choice.preset for choice in found] == ["any-tokens", "any-tokens", "any"]
    assert "dictionary" in found[0].reason and "of the pixels change" in found[1].reason
    assert found[2].changed < 0.3 < 0.9 < found[1].changed


def test_recordings_are_joined_once_however_often_that_is_asked(tmp_path):
    counting_env.register()
    first = collect("Counting-v0", tmp_path / "a", 100, "random", seed=1, shard_steps=60)
    more = collect("Counting-v0", tmp_path / "b", 100, "random", seed=2, shard_steps=60)
    for _ in range(2):
        joined = add_recording(tmp_path / "a", tmp_path / "b", len(first.shards))
    assert joined.steps == first.steps + more.steps
    last = joined.episode(len(joined.episodes) - 1)
    np.testing.assert_array_equal(last.frames, more.episode(len(more.episodes) - 1).frames)
    other = dataset_of(tmp_path / "c", np.zeros((3, 32, 32, 3), np.uint8))
    assert other.steps == 2
    with pytest.raises(DatasetError, match="another frame_shape"):
        add_recording(tmp_path / "a", tmp_path / "c", 9)


def test_what_is_joined_stays_as_compressed_as_it_was(tmp_path):
    pytest.importorskip("zstandard")
    counting_env.register()
    collect("Counting-v0", tmp_path / "a", 50, "random", seed=1)
    more = collect("Counting-v0", tmp_path / "b", 50, "random", seed=2, compress=True)
    joined = add_recording(tmp_path / "a", tmp_path / "b", 1)
    assert [file.suffix for file in sorted(joined.path.glob("*_frames.*"))] == [".npy", ".zst"]
    last = joined.episode(len(joined.episodes) - 1)
    np.testing.assert_array_equal(last.frames, more.episode(len(more.episodes) - 1).frames)


def test_a_dream_may_compress_what_it_records(tmp_path, stubs):
    pytest.importorskip("zstandard")
    assert main([*WORDS, "--out", str(tmp_path / "run"), "--compress"]) == 0
    frames = list((tmp_path / "run").glob("data*/*_frames.*"))
    assert len(frames) > 1 and all(file.suffix == ".zst" for file in frames)


def test_large_frames_have_large_patches_in_a_dream_as_by_hand(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 255, (6, 96, 128, 3), dtype=np.uint8)
    large = dataset_of(tmp_path / "large", noise, SPEC | {"frame_shape": [96, 128, 3]})
    assert choose_family(large).patches == 5 * 12 * 16, "of 8 pixels, none twice"
    trained = []
    monkeypatch.setattr(module, "train", lambda config, load: trained.append(config))
    run = DreamRun(DreamConfig("FrozenLake-v1", 10.0, str(tmp_path / "r"), ("size=96x128",)))
    run.stages = module.Stages(run.root)
    run.stages.run("record", lambda: {"family": "any"})
    run.train("first")
    assert trained[0].model.grid.patch == 8


@pytest.fixture
def stubs(monkeypatch, tmp_path):
    """The long parts, each of which leaves its product and says that it was done."""
    done = []

    def train(config, load):
        done.append(f"train {config.out.name} {config.minutes:g}")
        (config.out / "bundle").mkdir(parents=True)

    def learn(config, seconds):
        done.append(f"learn {config.bundle} {seconds:g}")
        path = module.Path(config.out) / module.POLICY_FILE
        path.parent.mkdir()
        path.write_text("")

    def evaluate(config):
        done.append("evaluate")
        (module.Path(config.out)).mkdir()
        (module.Path(config.out) / "evaluation.json").write_text("{}")
        return Report({}, module.Path(config.out), "", "none", 0.0, {})

    def report(config):
        done.append("report")
        (module.Path(config.out)).mkdir()
        (module.Path(config.out) / "index.html").write_text("")
        return "a page"

    def player(name, actions, world, agents):
        done.append("play")
        return RandomPolicy(actions)

    for name, stub in {
        "train": train,
        "train_ppo": learn,
        "evaluate_bundle": evaluate,
        "write_report": report,
        "make_policy": player,
        "update_provenance": lambda path, facts: None,
        "steps_per_second": lambda task: 1.0,
        "LEAST_FRAMES": 40,
    }.items():
        monkeypatch.setattr(module, name, stub)
    return done


WORDS = ["FrozenLake-v1", "--options", "size=16", "--workers", "1", "--minutes", "10"]


def test_every_stage_is_done_once_and_a_killed_run_goes_on(tmp_path, stubs, capsys, monkeypatch):
    words = [*WORDS, "--out", str(tmp_path / "run")]
    with monkeypatch.context() as patch:
        patch.setattr(module, "evaluate_bundle", lambda config: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            main(words)
    begun = ["train first 1.2", f"learn {tmp_path}/run/first/bundle 60", "play", "train dream 5"]
    assert stubs == begun
    assert main(words) == 0
    assert stubs == [*begun, "evaluate", "report"]
    out = capsys.readouterr().out
    page = f"--bundle {tmp_path}/run/dream/bundle --twin FrozenLake-v1 --real-options size=16"
    assert f"play it: neural-envs serve {page}\n" in out
    data = Dataset(tmp_path / "run" / "data")
    assert data.spec["reward_values"] == [-1.0, 0.0, 1.0]
    players = [name for name, _ in data.manifest["mixture"]]
    assert players == ["random", "sticky:0.5", "sticky:0.8", "sticky:0.95"]
    played = Dataset(tmp_path / "run" / "data-agent")
    assert data.steps > played.steps >= 40
    before = data.fingerprint
    assert main([*words, "--device", "cuda"]) == 0  # as on the machine where it began
    assert Dataset(data.path).fingerprint == before
    assert stubs == [*begun, "evaluate", "report"]


def test_of_too_few_episodes_more_are_recorded_and_a_killed_run_goes_on(
    tmp_path, stubs, monkeypatch, capsys
):
    monkeypatch.setattr(module, "LEAST_FRAMES", 12)
    run = DreamRun(DreamConfig("FrozenLake-v1", 10.0, str(tmp_path / "run"), ("size=16",)))
    run.stages = module.Stages(run.root)
    asked = []
    collect_some = run._collect

    def stopped(players, out, frames):
        asked.append(frames)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return collect_some(players, out, frames)

    monkeypatch.setattr(run, "_collect", stopped)
    monkeypatch.setattr(run, "_frames", lambda players, stage: 12)
    with pytest.raises(KeyboardInterrupt):
        run.record()
    made = run.record()
    assert asked[:4] == [12, 24, 48, 24] and asked[-1] == 24 * 2 ** (len(asked) - 4)
    assert all(Dataset(run.data).split().values()) and made["frames"] >= asked[-1]
    assert "too few to train" in capsys.readouterr().err


def test_a_run_of_other_settings_and_a_game_without_images_are_sentences(tmp_path, stubs, capsys):
    words = [*WORDS, "--out", str(tmp_path / "run")]
    assert main(words) == 0
    assert main([*words, "--minutes", "20"]) == 1
    assert "holds a run with minutes=10.0, not 20.0" in capsys.readouterr().err
    assert main(["CartPole-v1", "--options", "source=observation"]) == 1
    assert "has no images" in capsys.readouterr().err
    assert main([]) == 1 and "name the game" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["snake", "--family", "snaek"])
    assert "did you mean" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["FrozenLake-v1", "--options", "size=8"], "8x8 pixels are too small.*size=16"),
        (
            ["FrozenLake-v1", "--options", "size=20", "--family", "worldmap-flow"],
            "flow is not for .*do not divide into",
        ),
        (["FrozenLake-v1", "--options", "size=16", "--family", "snake-eqm"], "expert=true needs"),
        (["FrozenLake-v1", "--options", "size=16", "--device", "abacus"], "'abacus' cannot be"),
    ],
)
def test_what_cannot_be_a_dream_is_a_sentence_before_anything_is_recorded(
    tmp_path, capsys, monkeypatch, words, sentence
):
    monkeypatch.setattr(module, "collect", lambda *args, **settings: 1 / 0)
    assert main([*words, "--out", str(tmp_path / "run")]) == 1
    assert re.search(sentence, capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_the_parts_fill_the_time_and_no_more():
    assert sum(SHARES.values()) == pytest.approx(1)


def test_the_page_at_the_end_shows_the_game_and_computes_where_the_run_did(
    tmp_path, stubs, monkeypatch, capsys
):
    served = []
    monkeypatch.setattr("neural_envs.web.server.main", served.append)
    monkeypatch.setattr(module, "on_terminal", lambda: True)
    monkeypatch.setattr(module, "find_device", lambda device: None)
    monkeypatch.setattr(module, "machine_class", lambda device: {})
    out = tmp_path / "a run"
    words = [*WORDS, "--options", "size=16,is_slippery=false", "--device", "cuda"]
    assert main([*words, "--out", str(out)]) == 0
    (page,) = served
    config, options = parse(ServeConfig(), page, "serve"), ("size=16", "is_slippery=false")
    assert config.bundle == (str(out / "dream" / "bundle"),) and config.device == "cuda"
    assert (config.twin, config.real_options) == ("FrozenLake-v1", options)
    assert f"serve --bundle '{out}/dream/bundle' --device cuda --twin" in capsys.readouterr().out
    own = DreamRun(DreamConfig("snake", out=str(out), options=("grid_size=8",)))
    assert own.page == ["--bundle", str(out / "dream" / "bundle")]


def test_a_world_of_ours_is_played_by_its_own_players(tmp_path):
    run = DreamRun(DreamConfig("snake", out=str(tmp_path / "run")))
    assert run.world == "snake" and run.options == ()
    assert run.header["spec"]["world"] == "snake" and not (tmp_path / "run").exists()
