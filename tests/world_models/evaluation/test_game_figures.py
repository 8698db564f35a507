"""Whole games, dreamed beside real: a dream that is the game must measure as the game, and what is
wrong with one must show.
"""

import cv2
import numpy as np
import pytest
from gymnasium.vector import VectorWrapper

from collectors.worlds.snake.env import RealSnake, RealSnakeVector
from collectors.worlds.snake.tiles import HEAD, TILE, TILES
from collectors.worlds.worldmap.env import RealWorldMapVector
from tests.agents.stub_envs import CountingVectorEnv
from world_models.evaluation.estimates import mean_estimate, share_estimate
from world_models.evaluation.evaluator import Evaluator
from world_models.evaluation.game_figures import count_figures, game_figures
from world_models.evaluation.game_play import play_game
from world_models.evaluation.holding import hold_figures, sharpness, write_hold_strip
from world_models.evaluation.loop_closure import loop_figures, walk_back
from world_models.evaluation.ratios import compared
from world_models.evaluation.worlds.snake import SnakeEvaluator
from world_models.evaluation.worlds.worldmap import WorldMapEvaluator
from world_models.protocols import WorldSpec

SNAKE = SnakeEvaluator.build(WorldSpec.from_dict(RealSnake().world_spec()), RealSnake())
MAP = WorldMapEvaluator(8)
COUNTING = Evaluator(WorldSpec("counting", (16, 16, 3), ("a", "b", "c", "d"), (0.0,), 10, 1000))


class Drawn:
    """Plays at random, the same at every construction."""

    def __init__(self):
        self.generator = np.random.default_rng(5)

    def reset(self, lanes):
        assert lanes.dtype == bool

    def __call__(self, observations):
        return self.generator.integers(4, size=len(observations))


class Altered(VectorWrapper):
    """A game whose frames are changed: a dream with one known fault."""

    def __init__(self, env, change):
        super().__init__(env)
        self.change = change

    def reset(self, *, seed=None, options=None):
        frames, infos = self.env.reset(seed=seed, options=options)
        return self.change(frames), infos

    def step(self, actions):
        frames, *rest, infos = self.env.step(actions)
        if "final_obs" in infos:
            infos["final_obs"] = self.change(infos["final_obs"])
        return self.change(frames), *rest, infos


def play(change=None, depths=(1, 8)):
    env = RealSnakeVector(10, autoreset_mode="SameStep")
    return play_game(Altered(env, change) if change else env, Drawn(), SNAKE, 40, 3, depths)


def with_second_head(frames):
    frames = frames.copy()
    frames[:, :TILE, :TILE] = TILES[HEAD[0]]
    return frames


def blurred(frames):
    return np.stack([cv2.GaussianBlur(frame, (5, 5), 0) for frame in frames])


def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def real():
    return play()


def test_a_dream_that_is_the_game_has_ratio_one_in_every_figure(real):
    figures = game_figures(play(), real, 1000, rng())
    for name in ("return", "length", "events_per_1000", "final_score"):
        assert figures[name]["value"] == 1, name
        low, high = figures[name]["interval"]
        assert low <= 1 <= high and figures[name]["samples"] >= 8
    assert (
        figures["ends_by_the_rules"]["value"] == figures["ends_by_the_rules"]["real"]["value"] == 1
    )
    assert set(figures["events"]) == {"meals", "deaths"}


def test_a_dream_with_a_second_head_is_noticed_and_its_food_is_not_blamed(real):
    counts = count_figures({"random": (play(with_second_head), real)}, rng())
    assert counts["real"]["value"] == 1 and counts["value"] < 0.1
    assert counts["things"]["foods"] > 0.9 and counts["things"]["heads"] < 0.1


def test_games_that_end_without_a_reason_do_not_end_by_the_rules(real):
    late = real._replace(terminations=np.roll(real.terminations, 1, 0))
    found = game_figures(late, real, 1000, rng())["ends_by_the_rules"]
    assert found["value"] < 0.1 and found["real"]["value"] == 1


def test_a_game_that_goes_on_after_its_end_counts_once_however_long(real):
    over, ended = np.zeros((2, *real.terminations.shape), bool)
    over[5:30, 0], ended[29, 0] = True, True  # on for 24 steps
    over[10, 1:4] = ended[10, 1:4] = True
    over[30:32, 0] = ended[31, 0] = True  # the next one goes on for a step
    cut = np.zeros_like(over)
    played = real._replace(over=over, terminations=ended, truncations=cut)
    found = game_figures(played, played, 1000, rng())["ends_by_the_rules"]
    assert (found["value"], found["samples"]) == (3 / 5, 5)


def test_two_games_that_ended_well_do_not_show_that_all_do():
    for share, samples in ((1.0, 2), (0.0, 2), (1.0, 20)):
        found = share_estimate(np.full(samples, share), rng())
        low, high = found["interval"]
        assert found["value"] == share and low <= share <= high and high - low > 0.1
    assert share_estimate(np.ones(2), rng())["interval"][0] == pytest.approx(0.342, abs=1e-3)
    assert share_estimate(np.ones(1), rng())["interval"] is None
    mixed = np.array([0.0, 1.0] * 10)
    assert share_estimate(mixed, rng()) == mean_estimate(mixed, rng())


def test_a_blurred_dream_loses_sharpness_and_an_equal_one_does_not(real):
    def nothing(frames):
        return None

    for change, low, high in ((None, 0.999, 1.001), (blurred, 0.0, 0.6)):
        found = hold_figures({"random": (play(change), real)}, nothing, 0, rng())["8"]
        assert low <= found["sharpness"]["value"] <= high
        assert "omitted" in found["kid"] and found["policy"] == "random"


def test_a_depth_that_no_game_reaches_says_so(real):
    found = hold_figures({"random": (play(None, (45,)),) * 2}, lambda frames: None, 0, rng())
    assert "games" in found["45"]["omitted"] and found["45"]["policy"] is None


def test_sharpness_is_zero_on_a_flat_frame_and_grows_with_contrast():
    frames = np.zeros((3, 8, 8, 3), np.uint8)
    frames[1, ::2], frames[2, ::2] = 50, 100
    flat, weak, strong = sharpness(frames)
    assert flat == 0 < weak and strong == pytest.approx(2 * weak)


def test_numbers_of_a_counting_game_are_those_it_was_made_with():
    env = CountingVectorEnv([3, 5, 3, 5], [1, 2, -1, 0.5])
    played = play_game(env, Drawn(), COUNTING, 10, 0, (2,))
    assert (played.deep[2].frames == 2).all() and (played.deep[2].starts == 0).all()
    assert len(played.deep[2].frames) == 2 * 3 + 2 * 2
    figures = game_figures(played, played, 1000, rng())
    assert figures["return"]["dream"]["value"] == (3 + 10 - 3 + 2.5) / 4
    assert figures["length"]["dream"]["value"] == 4
    assert figures["events"]["rewards"]["dream"]["value"] == 750
    assert figures["events"]["penalties"]["dream"]["value"] == 250
    # two of the four end by termination, two by their limit; no rules are known
    assert figures["ends_by_the_rules"]["value"] == 0.5
    assert "omitted" in count_figures({"a": (played, played)}, rng())


def test_a_game_is_cut_at_the_limit_of_its_world():
    played = play_game(CountingVectorEnv([9, 9], [1, 1]), Drawn(), COUNTING, 12, 0)
    figures = game_figures(played, played, 4, rng())
    assert figures["length"]["dream"]["value"] == figures["return"]["dream"]["value"] == 4
    assert figures["unfinished"]["dream"]["value"] == 0
    assert figures["ends_by_the_rules"]["value"] == 0


def test_there_is_no_ratio_to_a_mean_that_may_be_zero():
    found = compared(np.ones(8), np.array([-1.0, 1.0] * 4), rng())
    assert found["value"] is None and found["interval"] is None and found["real"]["samples"] == 8
    assert compared(np.zeros(0), np.ones(4), rng())["value"] is None
    assert compared(np.ones(4), np.ones(1), rng())["value"] is None  # nobody knows its spread
    assert compared(np.full(4, 3.0), np.full(4, 2.0), rng())["value"] == 1.5


def test_a_walk_there_and_back_ends_where_it_began_and_a_dream_that_forgets_does_not():
    pairs = [(3, 2), (2, 3)]
    noise = np.random.default_rng(1)

    def forget(frames):
        return noise.integers(256, size=frames.shape).astype(np.uint8)

    lanes = {"max_episode_steps": -1, "autoreset_mode": "SameStep"}
    envs = [RealWorldMapVector(6, **lanes) for _ in range(2)]
    found = loop_figures(Altered(envs[0], forget), envs[1], pairs, MAP, seed=0)
    assert set(found) == {"4", "8", "16"}
    assert found["4"]["real"]["value"] == 100 and found["4"]["value"] < 15
    kept = found["4"]["in_sight"]
    assert kept["real"]["value"] == 100 and kept["value"] < 15 and kept["samples"] == 6
    assert "nothing of the start" in found["8"]["in_sight"]["omitted"]


def test_lanes_whose_game_ends_on_the_way_are_left_out_of_a_walk():
    env = CountingVectorEnv([4, 90, 5, 90], [0] * 4)
    walk = walk_back(env, [(0, 1)], 4, 0, COUNTING)
    assert len(walk.whole) == 2 and walk.in_sight is None


def test_the_strip_has_the_dream_above_the_game_and_is_left_out_without_frames(tmp_path, real):
    path = write_hold_strip(tmp_path / "hold.png", play(blurred), real)
    assert path is not None and cv2.imread(str(path)) is not None
    none = play(None, (45,))
    assert write_hold_strip(tmp_path / "none.png", none, none) is None
