"""The rules of RealWorldMap-v0, its regions and its map."""

import hashlib
import tomllib
from pathlib import Path

import cv2
import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import collectors  # noqa: F401  registers the ids
from collectors.policies.policies import make_policy
from collectors.recording.collect import collect
from collectors.recording.rollout import rollout
from collectors.worlds.worldmap.env import (
    BANDS,
    DEFAULT_MAP,
    RealWorldMap,
    land_mask,
    load_map,
    middle_land,
)

UP, DOWN, LEFT, RIGHT = range(4)
SEA, GRASS, ICE = (10, 100, 200), (60, 150, 60), (226, 226, 226)


@pytest.fixture
def island(tmp_path) -> str:
    """A map of 160x200 pixels: sea, and an island of 32x32 pixels in its middle."""
    image = np.full((160, 200, 3), SEA, np.uint8)
    image[64:96, 88:120] = GRASS
    path = tmp_path / "island.png"
    cv2.imwrite(str(path), image[..., ::-1])
    return str(path)


def at(row: int, column: int, **options) -> RealWorldMap:
    env = RealWorldMap(**options)
    env.reset(seed=0)
    env._row, env._column = row, column
    return env


def earth() -> np.ndarray:
    return cv2.imread(str(DEFAULT_MAP))[..., ::-1]


def play(env: gymnasium.Env, name: str, episodes: int):
    policy = make_policy(name, 4, "worldmap")
    return [rollout(env, policy, seed) for seed in range(episodes)]


def test_every_action_moves_the_window_by_eight_pixels_on_the_map():
    env, image = at(400, 800, task=None), earth()
    for action, position in (
        (UP, (392, 800)),
        (LEFT, (392, 792)),
        (DOWN, (400, 792)),
        (RIGHT, (400, 800)),
    ):
        frame, _, _, _, info = env.step(action)
        row, column = info["position"]
        assert (row, column) == position
        np.testing.assert_array_equal(frame, image[row : row + 64, column : column + 64])


def test_the_stride_is_an_option():
    assert at(400, 800, task=None, stride=3).step(RIGHT)[-1]["position"] == (400, 803)


def test_east_and_west_lead_around_the_earth():
    env, image = at(400, 2640, task=None), earth()
    frame, *_, info = env.step(RIGHT)
    assert info["position"] == (400, 2648)
    seam = np.concatenate([image[400:464, 2648:], image[400:464, :12]], axis=1)
    np.testing.assert_array_equal(frame, seam)
    for _ in range(7):
        info = env.step(RIGHT)[-1]
    assert info["position"] == (400, 4)
    assert env.step(LEFT)[-1]["position"] == (400, 2696)


def test_a_move_over_the_poles_does_nothing():
    env = at(0, 800, task=None)
    before = env._observation()
    frame, _, terminated, truncated, info = env.step(UP)
    np.testing.assert_array_equal(frame, before)
    assert (terminated, truncated, info["position"]) == (False, False, (0, 800))
    assert at(1280, 800, task=None).step(DOWN)[-1]["position"] == (1280, 800)


def test_a_landfall_pays_one_and_ends_and_every_other_step_costs_a_hundredth(island):
    env, rewards, ended = at(48, 24, map=island), [], False
    while not ended:
        frame, reward, ended, truncated, info = env.step(RIGHT)
        rewards.append(reward)
    assert rewards == [-0.01] * 3 + [1.0]
    assert info["position"] == (48, 56) and not truncated
    assert land_mask(frame)[24:40, 24:40].mean() >= 0.5
    with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
        env.step(RIGHT)


def test_rewards_and_ends_can_be_read_from_the_frames_alone():
    for episode in play(gymnasium.make("RealWorldMap-v0"), "mix", 40):
        share = land_mask(episode.frames)[:, 24:40, 24:40].mean(axis=(1, 2))
        assert share[0] == 0  # starts over sea
        np.testing.assert_array_equal(share[1:] >= 0.5, episode.terminations)
        np.testing.assert_array_equal(
            episode.rewards, np.where(episode.terminations, 1, np.float32(-0.01))
        )


def test_an_episode_is_cut_off_after_two_hundred_steps():
    env = gymnasium.make("RealWorldMap-v0", task=None)
    env.reset(seed=0)
    outcomes = [env.step(RIGHT)[1:4] for _ in range(200)]
    assert outcomes == [(0.0, False, False)] * 199 + [(0.0, False, True)]


def test_free_roaming_starts_anywhere_and_never_lands():
    env = RealWorldMap(task=None)
    starts = [env._map.landed[env.reset(seed=seed)[1]["position"]] for seed in range(100)]
    assert 0.2 < np.mean(starts) < 0.5
    assert env.world_spec()["reward_values"] == [0.0]


def test_equal_seeds_sail_equal_voyages():
    def voyage(seed):
        env = RealWorldMap(region="split")
        frames = [env.reset(seed=seed)[0]]
        return np.stack(frames + [env.step(action)[0] for action in (UP, LEFT)])

    np.testing.assert_array_equal(voyage(3), voyage(3))
    assert (voyage(3) != voyage(4)).any()


def test_frames_are_the_callers_own_and_the_map_cannot_be_written_to():
    env = at(400, 800, task=None)
    frame = env.step(UP)[0]
    frame[:] = 0
    assert env.step(DOWN)[0].any() and not env._map.pixels.flags.writeable


def test_environments_share_one_decoded_map():
    assert RealWorldMap()._map is RealWorldMap(task=None)._map is load_map()


def test_episodes_of_different_regions_share_no_pixel():
    env, regions = (
        gymnasium.make("RealWorldMap-v0", region="split"),
        {part: np.zeros((1350, 2700), bool) for part in BANDS},
    )
    env.reset(seed=0)
    generator = np.random.default_rng(0)
    for _ in range(1500):
        info, ended, action = env.reset()[1], False, int(generator.integers(4))
        part = info["split_key"].partition(":")[0]
        while True:
            row, column = info["position"]
            regions[part][row : row + 64, np.arange(column, column + 64) % 2700] = True
            if ended:
                break
            if generator.random() < 0.1:
                action = int(generator.integers(4))
            _, _, terminated, truncated, info = env.step(action)
            ended = terminated or truncated
    assert sum(pixels.astype(int) for pixels in regions.values()).max() == 1
    assert all(
        regions[part].mean() > share
        for part, share in (("train", 0.4), ("validation", 0.05), ("test", 0.08))
    )


def test_the_bands_cover_the_earth_once():
    edges = sorted((left, right) for bands in BANDS.values() for left, right in bands)
    assert all(right == left for (_, right), (left, _) in zip(edges, edges[1:], strict=False))
    assert edges[-1][1] - 54 == edges[0][0]


@pytest.mark.parametrize("part", BANDS)
def test_a_region_ends_an_episode_before_its_border_without_invisible_walls(part):
    env = RealWorldMap(region=part, task=None)
    for seed in range(20):
        column, truncated = env.reset(seed=seed)[1]["position"][1], False
        while not truncated:
            _, _, terminated, truncated, info = env.step(RIGHT)
            assert info["position"][1] == (column + 8) % 2700 and not terminated
            column = info["position"][1]
        left, right = (
            edge * 50 for edge in BANDS[part][int(env.reset(seed=seed)[1]["split_key"][-1])]
        )
        assert 0 < right - (left + (column - left) % 2700) - 64 < 8 + 8


def test_split_draws_every_region_by_its_share_and_says_which():
    env = RealWorldMap(region="split")
    parts = [env.reset(seed=seed)[1]["split_key"].partition(":")[0] for seed in range(1000)]
    assert (
        750 < parts.count("train") < 850
        and parts.count("validation") > 60
        and parts.count("test") > 60
    )
    assert "split_key" not in RealWorldMap().reset(seed=0)[1]


def test_a_dataset_of_the_map_is_split_by_region(tmp_path):
    dataset = collect("RealWorldMap-v0", tmp_path, frames=3000, policy="mix", workers=1)
    for part, ids in dataset.split().items():
        assert ids and all(dataset.episodes[index].key.startswith(part + ":") for index in ids)


def test_the_land_mask_knows_water_of_every_depth_from_ice_and_land():
    water = [
        (0, 84, 167),
        (3, 108, 191),
        (171, 217, 242),
        (111, 216, 229),
        (1, 99, 141),
        (14, 113, 221),
    ]
    land = [
        (52, 128, 39),
        (232, 191, 132),
        (161, 148, 143),
        (226, 226, 226),
        (234, 197, 159),
        ICE,
        GRASS,
    ]
    assert (
        not land_mask(np.array(water, np.uint8)).any() and land_mask(np.array(land, np.uint8)).all()
    )
    image = earth()
    latitude = np.cos(np.pi * ((np.arange(1350) + 0.5) / 1350 - 0.5))
    assert land_mask(image).mean(axis=1) @ latitude / latitude.sum() == pytest.approx(
        0.29, abs=0.02
    )
    assert land_mask(image[None, :64]).shape == (1, 64, 2700)


def test_the_middle_is_counted_as_a_plain_loop_counts_it():
    mask = np.random.default_rng(0).random((70, 75)) < 0.5
    counts = middle_land(mask)
    assert counts.shape == (7, 12)
    assert all(
        counts[r, c] == mask[r + 24 : r + 40, c + 24 : c + 40].sum() for r, c in np.ndindex(7, 12)
    )


def test_maps_that_make_no_game_are_refused_with_a_reason(tmp_path, island):
    small, text, dry = (tmp_path / name for name in ("small.png", "text.png", "dry.png"))
    cv2.imwrite(str(small), np.zeros((64, 63, 3), np.uint8))
    cv2.imwrite(str(dry), np.full((100, 100, 3), 226, np.uint8))
    text.write_text("no image")
    with pytest.raises(
        ValueError, match="64 rows and 63 columns of pixels, but the window needs 64"
    ):
        RealWorldMap(map=small)
    with pytest.raises(ValueError, match="not an image that can be read"):
        RealWorldMap(map=text)
    with pytest.raises(FileNotFoundError, match="there is no map at"):
        RealWorldMap(map=tmp_path / "none.png")
    with pytest.raises(ValueError, match="no sea to start from; task=None starts anywhere"):
        RealWorldMap(map=dry)
    with pytest.raises(ValueError, match="no room to move in; use region=None"):
        RealWorldMap(map=island, region="test", task=None)
    RealWorldMap(map=dry, task=None).reset(seed=0)


@pytest.mark.parametrize(
    "options", [{"stride": 0}, {"stride": 65}, {"task": "sail"}, {"region": "north"}]
)
def test_options_that_make_no_game_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        RealWorldMap(**options)


def test_a_wrong_action_and_a_step_outside_a_game_name_the_remedy():
    env = RealWorldMap()
    with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
        env.step(0)
    env.reset(seed=0)
    with pytest.raises(gymnasium.error.InvalidAction, match="action 4 is not one of 0 up"):
        env.step(4)


@pytest.mark.filterwarnings("ignore:.*The environment is being initialised with render_mode.*")
@pytest.mark.parametrize("options", [{}, {"task": None, "stride": 5}, {"region": "split"}])
def test_gymnasiums_checker_is_content(options):
    check_env(gymnasium.make("RealWorldMap-v0", render_mode="rgb_array", **options).unwrapped)


def test_the_registered_game_has_the_spaces_limit_and_spec_of_the_contract():
    env = gymnasium.make("RealWorldMap-v0")
    assert env.observation_space == gymnasium.spaces.Box(0, 255, (64, 64, 3), np.uint8)
    assert env.action_space == gymnasium.spaces.Discrete(4)
    assert env.unwrapped.world_spec() == {
        "world": "worldmap",
        "frame_shape": [64, 64, 3],
        "action_names": ["up", "down", "left", "right"],
        "reward_values": [-0.01, 1.0],
        "fps": 10,
        "max_episode_steps": 200,
    }


def test_the_map_and_its_attribution_are_package_data():
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert "worlds/worldmap/assets/*" in project["tool"]["setuptools"]["package-data"]["collectors"]
    assert "NOAA" in (DEFAULT_MAP.parent / "ATTRIBUTION.md").read_text()
    digest = hashlib.sha256(DEFAULT_MAP.read_bytes()).hexdigest()
    assert digest == "0009172209bdaa2ab0362affe54a03f14cb8f72e67c355efedc2a45b31d40475"
