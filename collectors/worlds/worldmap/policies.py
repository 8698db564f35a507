"""Policies for the world map; like all policies they see pixels only,
so they sail the real map and dreams of it.
"""

from collections.abc import Callable
from functools import lru_cache
from math import gcd

import numpy as np

from collectors.policies.policies import (
    BurstPolicy,
    EpsilonPolicy,
    Generator,
    MixturePolicy,
    Policy,
    RandomPolicy,
    StickyPolicy,
)
from collectors.policies.variations import SweepPolicy
from collectors.worlds.worldmap.env import (
    MIDDLE,
    MOVES,
    WINDOW,
    EarthMap,
    land_mask,
    load_map,
    middle_land,
)

STRIDE = 8  # of RealWorldMap-v0 as registered
REACH = (WINDOW - MIDDLE) // 2 // STRIDE  # moves that bring the window's rim to its middle
FAR = 10_000  # moves; what the distance field says of a place from which no landfall can be reached
TURNING = 0.3  # chance per move that a voyage along a coast may turn
POINTS = slice(3, WINDOW, 8)  # rows and columns of a window that its key is made of


def landfall_distances(earth: EarthMap, stride: int = STRIDE) -> np.ndarray:
    """(rows, columns) int32: moves from each place of the map to its nearest landfall, found
    breadth first from all landfalls at once. Nothing bars the way, so this is the length of the
    path that A* would find from each place.

    A place is a window at (stride * row, step * column) with step = gcd(stride, width): sailing
    around the Earth leads to all of these columns.
    """
    step = gcd(stride, earth.width)
    reached = earth.landed[::stride, ::step]
    distances = np.where(reached, 0, FAR).astype(np.int32)
    for moves in range(1, FAR):
        spread = (
            reached | np.roll(reached, stride // step, 1) | np.roll(reached, -(stride // step), 1)
        )
        spread[1:] |= reached[:-1]
        spread[:-1] |= reached[1:]
        if (spread == reached).all():
            break
        distances[spread & ~reached] = moves
        reached = spread
    return distances


class Chart:
    """Finds frames on the map that comes with the package, and the way to land from there."""

    def __init__(self, earth: EarthMap):
        self._earth, self._step = earth, gcd(STRIDE, earth.width)
        self.distances = landfall_distances(earth)
        weights = np.random.default_rng(0).integers(
            2**63, size=(WINDOW // 8, WINDOW // 8, 3), dtype=np.uint64
        )
        rows, columns = self.distances.shape
        keys = np.zeros((rows, columns), np.uint64)
        for (i, j, channel), weight in np.ndenumerate(weights):
            shifted = earth.pixels[POINTS.start + 8 * i :, POINTS.start + 8 * j :, channel]
            keys += shifted[::STRIDE, :: self._step][:rows, :columns].astype(np.uint64) * weight
        self._weights, self._order = weights, np.argsort(keys, axis=None, kind="stable")
        self._keys = keys.ravel()[self._order]

    def find(self, frame: np.ndarray) -> tuple[int, int] | None:
        """The place (row and column of the distance field)
        that looks exactly like `frame`, or None.
        """
        if frame.shape != (WINDOW, WINDOW, 3):
            return None
        key = (frame[POINTS, POINTS].astype(np.uint64) * self._weights).sum()
        first = int(self._keys.searchsorted(key))
        for index in self._order[first : first + 4].tolist():
            row, column = divmod(index, self.distances.shape[1])
            if np.array_equal(self._earth.window(row * STRIDE, column * self._step), frame):
                return row, column
        return None

    def best_actions(self, row: int, column: int) -> list[int]:
        """All actions that lead to the shortest way to land from a place."""
        rows, columns = self.distances.shape
        hop, after = STRIDE // self._step, []
        for down, right in MOVES:
            target = min(max(row + down, 0), rows - 1), (column + right * hop) % columns
            after.append(int(self.distances[target]))
        return [action for action, moves in enumerate(after) if moves == min(after) < FAR]


@lru_cache(maxsize=1)
def package_chart() -> Chart:
    """The chart of the map in the package; made once per process (about a second)."""
    return Chart(load_map())


class CoastPolicy(Policy):
    """The shortest way to the nearest landfall.

    Where the frame is found on the package's map, by its distance field; elsewhere (in a dream, on
    another map) by the land that the frame shows: to the nearest place in sight whose middle would
    be half land, else towards the most land in sight, else on a sticky walk. Land that proves too
    small is left behind. Among equally short ways it chooses by chance.
    """

    name = "coast"

    def __init__(self, actions: int, chart: Chart | None = None):
        self._walk, self._chart = StickyPolicy(actions, 0.95), chart

    def reset(self, generator: Generator) -> None:
        self._generator, self._leaving = generator, 0
        self._walk.reset(generator)

    def __call__(self, observation: np.ndarray) -> int:
        chart = self._chart or package_chart()
        place = chart.find(observation)
        actions = chart.best_actions(*place) if place else self._by_sight(land_mask(observation))
        return self._walk_to(actions, observation)

    def _walk_to(self, actions: list[int], observation: np.ndarray) -> int:
        if not actions:
            return self._walk(observation)
        return actions[int(self._generator.integers(len(actions)))]

    def _by_sight(self, mask: np.ndarray) -> list[int]:
        actions = actions_to_land_in_sight(mask, shores=not self._leaving)
        self._leaving = max(self._leaving - 1, 0)
        if not actions and not self._leaving and mask.any():
            self._leaving = WINDOW // STRIDE
        return actions


class ShorePolicy(CoastPolicy):
    """The same without the map: only by the land that the frame shows.

    It plays a dream as it plays the game, so it is the one to compare them by: a dream of sea that
    the map does not have cannot be searched by the map's distances.
    """

    name = "shore"

    def __call__(self, observation: np.ndarray) -> int:
        return self._walk_to(self._by_sight(land_mask(observation)), observation)


class AlongPolicy(CoastPolicy):
    """To the coast and then along it: land stays in the middle of the frame, and no move lands as
    far as the frame tells. It mostly goes on as it went.
    """

    name = "along"

    def reset(self, generator: Generator) -> None:
        super().reset(generator)
        self._last = -1

    def __call__(self, observation: np.ndarray) -> int:
        choices = actions_along_land(land_mask(observation))
        if not choices:
            self._last = super().__call__(observation)
        elif self._last not in choices or self._generator.random() < TURNING:
            self._last = choices[int(self._generator.integers(len(choices)))]
        return self._last


def actions_along_land(mask: np.ndarray) -> list[int]:
    """Actions after which a window's mask (64, 64) bool shows land in its middle half and no
    landfall; what comes into sight counts as sea."""
    padded, found = np.pad(mask, STRIDE), []
    lands = 2 * middle_land(padded) >= MIDDLE**2
    for action, (down, right) in enumerate(MOVES):
        top, left = STRIDE * (1 + down), STRIDE * (1 + right)
        half = padded[top + WINDOW // 4 :, left + WINDOW // 4 :][: WINDOW // 2, : WINDOW // 2]
        if half.any() and not lands[top, left]:
            found.append(action)
    return found


def actions_to_land_in_sight(mask: np.ndarray, shores: bool = True) -> list[int]:
    """Actions that begin a shortest way to the land in a window's mask (64, 64) bool: to the
    nearest landfall, else (if `shores`) to where most land would be in the middle. None where there
    is none to go to."""
    counts = middle_land(np.pad(mask, REACH * STRIDE))  # what is out of sight counts as sea
    # (7, 7): land pixels in the middle after -3 to 3 moves down and right
    counts = counts[::STRIDE, ::STRIDE]
    places: np.ndarray = np.indices(counts.shape) - REACH  # (2, 7, 7)
    moves = np.abs(places).sum(0)
    goals = 2 * counts >= MIDDLE**2
    if not goals.any():
        goals = (counts == counts.max()) & (counts > 0) & shores
    if not goals.any():
        return []
    goals &= moves == moves[goals].min()
    down, right = places[:, goals]
    needed = ((down < 0).any(), (down > 0).any(), (right < 0).any(), (right > 0).any())
    return [action for action, useful in enumerate(needed) if useful]


def worldmap_mix(actions: int) -> MixturePolicy:
    """Aimless walks, short and long, and voyages to the coast with more or less noise, with bursts
    of one held key (beyond the poles it does nothing), and with random play that comes and goes.

    Weights count episodes; aimless ones last longer, so they make most of the frames.
    """
    coast = CoastPolicy(actions)
    weights = [
        (RandomPolicy(actions), 0.1),
        (StickyPolicy(actions, 0.8), 0.13),
        (StickyPolicy(actions, 0.95), 0.1),
        (coast, 0.1),
        *((EpsilonPolicy(coast, epsilon, actions), 0.12) for epsilon in (0.2, 0.5, 0.8)),
        (burst("", actions), 0.11),
        (SweepPolicy(coast, actions), 0.1),
    ]
    return MixturePolicy([policy for policy, _ in weights], [weight for _, weight in weights])


def burst(number: str, actions: int) -> Policy:
    """burst[:start]: to the coast, with bursts in which one key is held."""
    one_key = StickyPolicy(actions, 0.97)
    return BurstPolicy(CoastPolicy(actions), one_key, float(number or 0.1), 0.06)


def noisy(policy: Policy, number: str, actions: int) -> Policy:
    """The policy, with a share of random moves where a number is given."""
    return EpsilonPolicy(policy, float(number), actions) if number else policy


MAKERS: dict[str, Callable[[str, int], Policy]] = {
    "coast": lambda number, actions: noisy(CoastPolicy(actions), number, actions),
    "shore": lambda number, actions: noisy(ShorePolicy(actions), number, actions),
    "along": lambda number, actions: noisy(AlongPolicy(actions), number, actions),
    "burst": burst,
    "sweep": lambda number, actions: SweepPolicy(CoastPolicy(actions), actions),
    "mix": lambda number, actions: worldmap_mix(actions),
}
