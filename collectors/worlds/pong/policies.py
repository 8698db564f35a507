"""Policies for Pong, for B games at once. They see pixels only, so they play dreams as well.

All of them are one player with other habits (`Habits`): it reads ball and paddle from the frame,
takes the speed from the last one, says where the ball will come down, and is there, or does
something silly instead.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from collectors.policies.batched import chosen_lanes
from collectors.policies.equivalent_keys import EquivalentKeyPolicy
from collectors.policies.policies import Generator, Maker, Policy
from collectors.worlds.pong.frames import decode_frames, equivalent_keys, renderer_of
from collectors.worlds.pong.physics import BALL, COURT_HEIGHT, COURT_WIDTH, PADDLE_WIDTH, SPEED_X

ACTIONS = 3
SUBSTEPS = 2  # of the engine in a step
STEP_X = SUBSTEPS * SPEED_X
END_X, END_Y = COURT_WIDTH - BALL, COURT_HEIGHT - BALL
# engine units: start of a spin, no need to move, still sure to hit
RUN_UP, DEAD_ZONE, SAFE = 12, 8, 40
EDGE = 55  # engine units from the middle of the paddle; beyond 51 it misses the ball
BLOCK = 256  # random numbers are drawn for so many steps at a time
# what each of a step's random numbers decides
NOISE, REPEAT, ACTION, AIM, BURST, HIT = DECISIONS = range(6)
BURST_ENDS = 0.04  # chance after each of its steps: 25 in the mean, from the middle to an end


class Habits(NamedTuple):
    """How a player plays, all but the name numbers."""

    name: str
    noise: float = 0.0  # chance of a random action in each step
    repeat: float = 0.0  # chance that a random action is the last one again
    wander: float = 0.0  # chance of a random action while the ball flies away
    aim: float = 0.0  # balls are met up to so far from the middle of the paddle, engine units
    # 1: moves on hitting, to make the ball faster than the opponent; 0: stands still
    spin: float = 1.0
    burst: float = 0.0  # chance that a burst of random or held keys begins
    one_key: float = 0.0  # 1: one key is held through a burst; 0: all are random
    any_spin: float = 0.0  # chance that the key at which the ball is hit is a random one


class PongBatch:
    """B players, each with habits drawn by weight when its game begins.

    Lanes never see one another's numbers.
    """

    def __init__(self, habits: list[Habits], weights: list[float], lanes: int):
        self.lanes, self._habits = lanes, habits
        self._weights = np.asarray(weights, float) / sum(weights)
        self._table = np.array([one[1:] for one in habits])
        self.names = [habits[0].name] * lanes  # of the habits of every lane
        self._own = np.repeat(self._table[:1], lanes, 0)
        self._generators: dict[int, Generator] = {}  # by lane
        self._random = np.zeros((lanes, BLOCK, len(DECISIONS)))
        self._cursor = np.zeros(lanes, np.int64)
        self._bursting, self._kept_key = np.zeros(lanes, bool), np.zeros(lanes, np.int64)
        self._x, self._y, self._vx, self._vy, self._aim = np.zeros((5, lanes))
        self._last = np.zeros(lanes, np.int64)

    def reset(self, lanes: np.ndarray, generators: Sequence[Generator | None]) -> None:
        """See `BatchPolicy`."""
        for lane, generator in chosen_lanes(lanes, generators):
            habit = int(generator.choice(len(self._habits), p=self._weights))
            self.names[lane], self._own[lane] = self._habits[habit].name, self._table[habit]
            self._generators[lane], self._cursor[lane] = generator, BLOCK
        self._x[lanes] = np.nan
        self._last[lanes], self._bursting[lanes] = 0, False

    def __call__(self, observations: np.ndarray, lanes: np.ndarray | None = None) -> np.ndarray:
        """(B,) int64 actions for (B, S, S, 3) uint8 frames, of all lanes whatever the mask."""
        noise, repeat, wander, aim, spin, burst, one_key, any_spin = self._own.T
        chance = self._draw()
        paddle = self._paddle_target(observations, (2 * chance[AIM] - 1) * aim)
        silly = chance[NOISE] < np.where(self._vx < 0, np.maximum(noise, wander), noise)
        drawn = (chance[ACTION] * ACTIONS).astype(np.int64)
        self._last = np.where(chance[REPEAT] < repeat, self._last, drawn)
        begins = ~self._bursting & (chance[BURST] < burst)
        self._kept_key = np.where(begins, drawn, self._kept_key)
        self._bursting = begins | (self._bursting & (chance[BURST] >= BURST_ENDS))
        silly_action = np.where(self._bursting & (one_key > 0), self._kept_key, self._last)
        key = np.where(chance[HIT] < any_spin, drawn, -1)
        return np.where(silly | self._bursting, silly_action, self._play(paddle, spin > 0, key))

    def _draw(self) -> np.ndarray:
        """(6, B) uniform numbers, every lane's from its own generator."""
        for lane in np.flatnonzero(self._cursor == BLOCK).tolist():
            self._random[lane] = self._generators[lane].random((BLOCK, len(DECISIONS)))
            self._cursor[lane] = 0
        numbers = self._random[np.arange(self.lanes), self._cursor].T
        self._cursor += 1
        return numbers

    def _paddle_target(self, frames: np.ndarray, aim: np.ndarray) -> np.ndarray:
        """Takes in where the ball is and how fast it flies;
        (B,) middle of the own paddle, all in engine units.
        """
        x, y, paddle = _engine_units(frames)
        moved_x, moved_y = x - self._x, y - self._y
        served = ~(np.abs(moved_x) < 1.5 * STEP_X)  # or the first frame of a game: nan
        turned = (np.minimum(y, END_Y - y) < np.abs(self._vy)) & (
            np.abs(moved_y) < np.abs(self._vy) - 0.5
        )
        vx = np.where(
            served,
            STEP_X,
            np.where(np.abs(moved_x) < STEP_X / 4, self._vx, STEP_X * np.sign(moved_x)),
        )
        clean = np.abs(np.abs(moved_x) - STEP_X) < STEP_X / 4
        self._vy = np.where(served, 0.0, np.where(turned & clean, -self._vy, moved_y))
        self._aim = np.where(served | ((vx < 0) & (self._vx > 0)), aim, self._aim)
        self._x, self._y, self._vx = x, y, vx
        return paddle

    def _play(self, paddle: np.ndarray, spin: np.ndarray, key: np.ndarray) -> np.ndarray:
        """(B,) actions: to where the ball comes down on the right,
        and through it the way it flies, or there another `key` (B,), -1 for none.
        """
        substeps, y, rising = self._forecast()
        spin_to = np.where(rising == 0, np.where(self._aim < 0, -1.0, 1.0), rising) * spin
        target = y + BALL / 2 + self._aim
        now = substeps <= SUBSTEPS
        away = target - spin_to * RUN_UP - paddle
        direction = np.where(np.abs(away) > DEAD_ZONE, np.sign(away), 0)
        sure = np.abs(target - self._aim - paddle - DEAD_ZONE * spin_to) < SAFE
        direction = np.nan_to_num(np.where(now & sure, spin_to, direction))
        action = np.where(direction > 0, 1, np.where(direction < 0, 2, 0))
        return np.where(now & sure & (key >= 0), key, action)

    def _forecast(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(substeps to the right paddle, the ball's y there, sign of its rise), each (B,);
        the left one returns it.
        """
        # substeps to the left paddle
        home = np.where(self._vx < 0, np.floor(self._x / SPEED_X) + 1, 0)
        start = np.where(self._vx < 0, self._x - SPEED_X * home, self._x)
        substeps = home + np.floor((END_X - start) / SPEED_X) + 1
        path = np.mod(self._y + self._vy / SUBSTEPS * substeps, 2 * END_Y)
        mirrored = path > END_Y
        rising = np.where(np.abs(self._vy) < 0.5, 0, np.sign(self._vy))
        return (
            substeps,
            np.where(mirrored, 2 * END_Y - path, path),
            np.where(mirrored, -rising, rising),
        )


class PongPolicy(Policy):
    """One player; `batch(lanes)` makes many of the same kind."""

    batched = True

    def __init__(self, habits: list[Habits], weights: list[float] | None = None):
        self._habits, self._weights = habits, weights or [1.0] * len(habits)
        self._batch = self.batch(1)

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The name of the habits that play this episode."""
        return self._batch.names[0]

    def batch(self, lanes: int) -> PongBatch:
        """The same player for many lanes."""
        return PongBatch(self._habits, self._weights, lanes)

    def mixture(self) -> list[list]:
        """The habits in full, for names do not tell all of them."""
        pairs, total = zip(self._habits, self._weights, strict=True), sum(self._weights)
        return [[_in_full(habits), round(weight / total, 6)] for habits, weight in pairs]

    def reset(self, generator: Generator) -> None:
        self._batch.reset(np.ones(1, bool), [generator])

    def __call__(self, observation: np.ndarray) -> int:
        return int(self._batch(observation[None])[0])


def scripted(number: str, actions: int) -> PongPolicy:
    """scripted[:noise]: plays to win, with a share of random actions."""
    noise = _probability(number or "0", actions)
    return PongPolicy([Habits(f"scripted:{noise:g}" if noise else "scripted", noise=noise)])


def rally(number: str, actions: int) -> PongPolicy:
    """rally[:noise]: returns the ball without spin, so that both go on for long."""
    noise = _probability(number or "0", actions)
    return PongPolicy(
        [Habits(f"rally:{noise:g}" if noise else "rally", noise=noise, aim=25, spin=0)]
    )


def burst(number: str, actions: int) -> PongPolicy:
    """burst[:start]: plays to win, with bursts in which one key is held, at the walls too, where
    it does nothing."""
    start = _probability(number or "0.01", actions)
    return PongPolicy([Habits(f"burst:{start:g}", aim=25, burst=start, one_key=1)])


def mix(number: str, actions: int) -> PongPolicy:
    """Points for both sides, fast and slow rallies,
    balls met all over the paddle, paddles everywhere.

    Points against the opponent are rare, one in 160 steps of the best player, so most of the frames
    are of players that can win them. Weights count episodes; a random player's are some hundred
    steps long, a good one's about a thousand.
    """
    _probability("0", actions)
    if number:
        raise ValueError("mix takes no number")
    table = [
        (0.12, Habits("random", noise=1.0)),
        (0.09, Habits("sticky:0.8", noise=1.0, repeat=0.8)),
        (0.10, Habits("sticky:0.95", noise=1.0, repeat=0.95)),
        (0.12, Habits("scripted", aim=25)),
        (0.06, Habits("scripted:0.1", noise=0.1, aim=25)),
        (0.10, Habits("scripted+any-spin", aim=25, any_spin=1.0)),
        (0.05, Habits("scripted+any-spin:0.2", noise=0.2, repeat=0.5, aim=25, any_spin=1.0)),
        (0.12, Habits("scripted+edges", noise=0.1, aim=EDGE, any_spin=0.5)),
        (0.08, Habits("scripted:0.2", noise=0.2, aim=25)),
        (0.07, Habits("scripted:0.4", noise=0.4, repeat=0.5, aim=25)),
        (0.07, Habits("wander", noise=0.05, repeat=0.8, wander=0.7, aim=25)),
        (0.08, Habits("scripted+burst:random", aim=25, burst=0.012)),
        (0.08, Habits("scripted+burst:held", aim=25, burst=0.008, one_key=1)),
        (0.01, Habits("rally:0.2", noise=0.2, repeat=0.5, wander=0.5, aim=25, spin=0)),
    ]
    return PongPolicy([habits for _, habits in table], [weight for weight, _ in table])


def equivalent(number: str, actions: int) -> Policy:
    """The scripted player, who at the end of its way presses another key that does nothing there;
    the number after the colon is its share of such steps, by default a half.
    """
    return EquivalentKeyPolicy(scripted("", actions), equivalent_keys, float(number or 0.5))


MAKERS: dict[str, Maker] = {
    "scripted": scripted,
    "equivalent": equivalent,
    "rally": rally,
    "burst": burst,
    "mix": mix,
}


def _engine_units(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lower left corner x, y of the ball and the middle of the right paddle,
    each (B,) float64, nan where not seen.
    """
    positions, view = decode_frames(frames), renderer_of(frames.shape[1])
    x = (positions.ball[:, 0] + 0.5) * view.unit_x - PADDLE_WIDTH - BALL / 2
    y = COURT_HEIGHT - (positions.ball[:, 1] + 0.5 - view.top) * view.unit_y - BALL / 2
    paddle = COURT_HEIGHT - (positions.right + 0.5 - view.top) * view.unit_y
    return np.round(x), np.round(y), np.round(paddle)


def _in_full(habits: Habits) -> str:
    """ "scripted:0.2 (noise 0.2, aim 25, spin 1)": the name, and what is not zero."""
    numbers = (
        f"{key} {value:g}" for key, value in habits._asdict().items() if key != "name" and value
    )
    return f"{habits.name} ({', '.join(numbers)})"


def _probability(number: str, actions: int) -> float:
    if actions != ACTIONS:
        raise ValueError(f"Pong has {ACTIONS} actions, this world {actions}")
    if not 0 <= float(number) <= 1:
        raise ValueError(f"a probability lies between 0 and 1, not at {number}")
    return float(number)
