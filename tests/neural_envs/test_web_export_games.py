"""The real games of the exported page against those of Python: same draws, same frames."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from PIL import Image

from collectors.worlds.pong.env import RealPong
from collectors.worlds.snake.env import RealSnake
from collectors.worlds.snake.policies import AStarPolicy
from collectors.worlds.worldmap.env import RealWorldMap
from tests.neural_envs.javascript import needs_node, run

pytestmark = needs_node
STEPS = 300
# games with the numbers that Python drew; what a copy does must not touch them
PLAY = """
const drawn = [...given.drawn];
const game = make(Object.assign((n) => drawn.shift(), { copy: () => () => 0 }));
const frames = [game.frame()], outcomes = [];
for (const [i, action] of given.actions.entries()) {
  if (i % 20 === 0) { const copy = game.copy(); copy.step(0); copy.step(0); }
  const { reward, terminated } = game.step(action);
  frames.push(game.frame());
  outcomes.push([reward, terminated]);
}
return [Buffer.concat(frames).toString("base64"), outcomes];
"""


class Recorded:
    """A generator whose whole numbers are kept."""

    def __init__(self, seed: int):
        self.generator, self.drawn = np.random.default_rng(seed), []

    def integers(self, low, high=None, size=None):
        found = self.generator.integers(low, high, size)
        first = 0 if high is None else low
        self.drawn += (np.atleast_1d(found) - first).tolist()
        return found


def played(env, policy) -> tuple[dict, np.ndarray, list]:
    """What JavaScript is given, the frames of a game in Python and its outcomes."""
    generator = env.np_random = Recorded(1)
    frames, actions, outcomes = [env.reset()[0]], [], []
    while len(actions) < STEPS and not (outcomes and outcomes[-1][1]):
        actions.append(int(policy(frames[-1])))
        frame, reward, terminated, _, _ = env.step(actions[-1])
        frames.append(frame)
        outcomes.append([float(reward), bool(terminated)])
    return {"drawn": generator.drawn, "actions": actions}, np.stack(frames), outcomes


def same(found, frames, outcomes) -> None:
    data, others = found
    pixels = np.frombuffer(base64.b64decode(data), np.uint8).reshape(-1, *frames.shape[1:])
    assert others == outcomes
    assert np.array_equal(pixels, frames)


def test_snake_eats_grows_and_dies_alike():
    env, policy = RealSnake(), AStarPolicy()
    policy.reset(np.random.default_rng(0))
    given, frames, outcomes = played(env, policy)
    assert sum(reward for reward, _ in outcomes) >= 5
    same(run("snake_game.js", "const make = (p) => new own.SnakeGame(p);" + PLAY, given),
         frames, outcomes)  # fmt: skip


@pytest.mark.parametrize("hold", [1, 7])
def test_pong_serves_bounces_and_scores_alike(hold):
    env, generator = RealPong(), np.random.default_rng(hold)
    actions = iter(np.repeat(generator.integers(0, 3, STEPS), hold))
    given, frames, outcomes = played(env, lambda frame: next(actions))
    assert {reward for reward, _ in outcomes} >= {-1.0, 0.0}
    same(run("pong_game.js", "const make = (p) => new own.PongGame(p);" + PLAY, given),
         frames, outcomes)  # fmt: skip


def test_the_map_goes_round_and_ends_at_a_coast(tmp_path):
    image = np.zeros((120, 200, 3), np.uint8)
    image[:, :, 2] = 120 + np.arange(200) % 100
    image[40:80, 30:75] = (90, 120, 40)
    Image.fromarray(image).save(tmp_path / "map.png")
    generator = np.random.default_rng(4)
    actions = iter(np.repeat(generator.integers(0, 4, STEPS), 3))
    env = RealWorldMap(tmp_path / "map.png")
    given, frames, outcomes = played(env, lambda frame: next(actions))
    assert outcomes[-1] == [1.0, True] and len(outcomes) > 3
    given["pixels"] = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)]).ravel().tolist()
    make = """
const map = { data: Uint8ClampedArray.from(given.pixels), width: 200, height: 120 };
const make = (p) => new own.MapGame(p, new own.EarthMap(map));
"""
    same(run("map_game.js", make + PLAY, given), frames, outcomes)
