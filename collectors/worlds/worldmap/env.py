"""The real world map: `RealWorldMap-v0`, a 64x64 window that moves over an image of the Earth.

H, W are the map's rows and columns in pixels; a position is (row, column) of the window's top left
corner.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium import spaces
from PIL import Image

from collectors.settings.values import check_choice
from collectors.worlds.lane_arguments import check_action
from collectors.worlds.real_game import RENDER_MODES, RealGameEnv
from collectors.worlds.vector_env import SingleEnvLanes

__all__ = [
    "BANDS",
    "DEFAULT_MAP",
    "WINDOW",
    "EarthMap",
    "RealWorldMap",
    "land_mask",
    "landed",
    "load_map",
    "middle_land",
]

DEFAULT_MAP = Path(__file__).parent / "assets" / "world_map_2700x1350.webp"
WINDOW, MIDDLE = 64, 16  # pixels a side
ACTIONS = ("up", "down", "left", "right")
MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))
TASKS, STEP_REWARD, LANDFALL_REWARD = ("landfall", None), -0.01, 1.0

# Bands of longitude in 54ths of the map's width (on Earth: 6 2/3 degrees). They touch but do not
# overlap; the first goes on across the map's edge. Test is the Atlantic, validation East Asia and
# the west of Australia.
BANDS = {"train": ((47, 71), (25, 41)), "validation": ((41, 47),), "test": ((17, 25),)}
REGIONS = (None, *BANDS, "split")
SPLIT_SHARES = (0.8, 0.1, 0.1)  # of the episodes of region="split", in the order of BANDS


def land_mask(frames: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 RGB -> (...) bool: land is what is not blue.

    Water of every depth has at least as much blue as green and clearly more of it than red; ice and
    high mountains are gray, all other land is green to brown. Lakes count as sea.
    """
    red, green, blue = np.moveaxis(np.asarray(frames).astype(np.int16), -1, 0)
    return (blue < green + 3) | (blue < red + 24)


def middle_land(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool land mask -> (H - 63, W - 63) int32:
    land pixels (0 to 256) in the middle 16x16 of each window.
    """
    sums = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int32)
    sums[1:, 1:] = mask.cumsum(0, dtype=np.int32).cumsum(1)
    counts = (
        sums[MIDDLE:, MIDDLE:]
        - sums[:-MIDDLE, MIDDLE:]
        - sums[MIDDLE:, :-MIDDLE]
        + sums[:-MIDDLE, :-MIDDLE]
    )
    margin = (WINDOW - MIDDLE) // 2
    return counts[margin:-margin, margin:-margin]


def landed(frames: np.ndarray) -> np.ndarray:
    """(N, 64, 64, 3) uint8 -> (N,) bool: the middle 16x16 pixels are at least half land."""
    margin = (WINDOW - MIDDLE) // 2
    middle = frames[:, margin : margin + MIDDLE, margin : margin + MIDDLE]
    return 2 * land_mask(middle).sum((1, 2)) >= MIDDLE**2


@dataclass(frozen=True, eq=False)
class EarthMap:
    """A decoded map and what a landfall needs to know of it."""

    # (H, W + 63, 3) uint8: the first columns again at the right, so that every window is one slice
    pixels: np.ndarray
    landed: np.ndarray  # (H - 63, W) bool: the middle of the window there is at least half land
    open_sea: np.ndarray  # (H - 63, W) bool: the middle of the window there shows no land

    @property
    def width(self) -> int:
        """Columns of the map; it goes round."""
        return self.landed.shape[1]

    def window(self, row: int, column: int) -> np.ndarray:
        """(64, 64, 3) uint8, a view."""
        return self.pixels[row : row + WINDOW, column : column + WINDOW]


def load_map(path: str | Path = DEFAULT_MAP) -> EarthMap:
    """Decodes an image file; once per process, all environments share it.

    ValueError for a file that makes no map.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise FileNotFoundError(f"there is no map at {path}")
    return _decode(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _decode(path: Path, changed: int) -> EarthMap:
    """The map in a file as it was at the time `changed`."""
    try:
        image = np.asarray(Image.open(path).convert("RGB"))
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"the map {path} is not an image that can be read ({error}); PNG, JPEG and WebP can"
        ) from error
    height, width, _ = image.shape
    if min(height, width) < WINDOW:
        raise ValueError(
            f"the map {path} has {height} rows and {width} columns of pixels, but the window needs "
            f"{WINDOW} of each"
        )
    pixels = np.concatenate([image, image[:, : WINDOW - 1]], axis=1)
    counts = middle_land(land_mask(pixels))
    pixels.setflags(write=False)
    return EarthMap(pixels, 2 * counts >= MIDDLE**2, counts == 0)


class RealWorldMap(RealGameEnv):
    """Sail over a relief map of the Earth until land is reached.

    The frame is a window that moves over the map of 2700x1350 pixels.

    Actions: the window moves by `stride` pixels, east and west around the Earth, north and south up
    to the map's edge. A move that would leave the map does nothing.

    Observation: the window, 64x64 pixels.

    Reward: -0.01 per step, +1 for a landfall; without a task none.

    Start: anywhere where the middle 16x16 pixels show no land, uniformly at random; without a task
    anywhere.

    Termination: a landfall: the middle 16x16 pixels are at least half land. Without a task never.

    Truncation: after 200 steps; with a `region` also where the next step east or west could leave
    its band of longitude, for there are no invisible walls.

    Info: `position`, the window's top left (row, column); `split_key`, as "train:1", in `reset`
    with a `region`: the split and the band.

    Arguments:
        map: the path of another image, at least 64 pixels per side.
        stride: pixels per move, 1 to 64.
        task: "landfall", or None: no reward and no end.
        region: None: the whole Earth. "train", "validation" and "test" are bands of longitude that
            share no pixel (`BANDS`); "split" draws one of the three for each episode.
        render_mode: "rgb_array", "human" (a window) or None.

    Versions: `v0`, the first one.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 10}
    land_mask = staticmethod(land_mask)
    landed = staticmethod(landed)

    def __init__(
        self,
        map: str | Path | None = None,
        stride: int = 8,
        task: str | None = "landfall",
        region: str | None = None,
        render_mode: str | None = None,
    ):
        _check_options(stride, task, region, render_mode)
        self.stride = int(stride)
        self.task = task
        self.region = region
        self.render_mode = render_mode
        self._map = load_map(map or DEFAULT_MAP)
        self._starts = {
            part: _starts(self._map, self.stride, task, part) for part in _parts(region)
        }
        self._width, self._last_row = self._map.width, self._map.landed.shape[0] - 1
        self._moves = tuple((row * self.stride, column * self.stride) for row, column in MOVES)
        self._inner = (self.stride, 0)
        self.observation_space = spaces.Box(0, 255, (WINDOW, WINDOW, 3), np.uint8)
        self.action_space = spaces.Discrete(len(ACTIONS))
        self._row, self._column, self._left, self._playing = 0, 0, 0, False

    def world_spec(self) -> dict:
        """What a dream of this game must know: the fields of `world_models.protocols.WorldSpec`."""
        limit = self.spec.max_episode_steps if self.spec is not None else None
        return {
            "world": "worldmap",
            "frame_shape": [WINDOW, WINDOW, 3],
            "action_names": list(ACTIONS),
            "reward_values": [STEP_REWARD, LANDFALL_REWARD] if self.task else [0.0],
            "fps": self.metadata["render_fps"],
            "max_episode_steps": limit or 200,
        }

    def get_keys_to_action(self) -> dict[tuple[str, ...], int]:
        """Keys for `gymnasium.utils.play`."""
        return {("w",): 0, ("s",): 1, ("a",): 2, ("d",): 3}

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        part = self.region
        if part == "split":
            part = tuple(BANDS)[int(self.np_random.choice(len(BANDS), p=SPLIT_SHARES))]
        starts = self._starts[part]
        self._row, column, band = starts[int(self.np_random.integers(len(starts)))].tolist()
        self._column, self._playing = column % self._width, True
        info = self._info()
        if part is not None:
            self._left, right = _edges(self._width, part, band)
            self._inner = (self.stride, right - self._left - WINDOW - self.stride)
            info["split_key"] = f"{part}:{band}"
        self.shown()
        return self._observation(), info

    def step(self, action):
        self.check_open()
        if not self._playing:
            raise gymnasium.error.ResetNeeded("the game is not running; call reset() before step()")
        action = check_action(action, ACTIONS)
        rows, columns = self._moves[action]
        if 0 <= self._row + rows <= self._last_row:
            self._row += rows
        self._column = (self._column + columns) % self._width
        landed = self.task is not None and bool(self._map.landed[self._row, self._column])
        truncated = not landed and self.region is not None and self._at_border()
        self._playing = not (landed or truncated)
        reward = 0.0 if self.task is None else LANDFALL_REWARD if landed else STEP_REWARD
        self.shown()
        return self._observation(), reward, landed, truncated, self._info()

    def image(self) -> np.ndarray:
        return self._observation()

    def _at_border(self) -> bool:
        """Whether a step east or west could show pixels of another band."""
        return not self._inner[0] <= (self._column - self._left) % self._width <= self._inner[1]

    def _observation(self) -> np.ndarray:
        return self._map.window(self._row, self._column).copy()

    def _info(self) -> dict:
        return {"position": (self._row, self._column)}


class RealWorldMapVector(SingleEnvLanes):
    """`num_envs` games of RealWorldMap on one map: see `LaneVectorEnv`."""

    single_class = RealWorldMap


def _parts(region: str | None) -> tuple[str | None, ...]:
    return tuple(BANDS) if region == "split" else (region,)


def _edges(width: int, part: str, band: int) -> tuple[int, int]:
    """First column of a band and the one after its last;
    over `width` where the band crosses the map's edge.
    """
    left, right = BANDS[part][band]
    return left * width // 54, right * width // 54


@lru_cache(maxsize=16)
def _starts(earth: EarthMap, stride: int, task: str | None, part: str | None) -> np.ndarray:
    """(N, 3) int: row, column (may pass the map's edge) and band of all places
    where an episode may start.
    """
    rows, places = np.arange(0, len(earth.landed), stride), []
    for band in range(len(BANDS[part]) if part else 1):
        if part is None:
            columns = np.arange(0, earth.width, stride)
        else:
            left, right = _edges(earth.width, part, band)
            columns = np.arange(
                -(-(left + stride) // stride) * stride, right - WINDOW - stride + 1, stride
            )
        grid = np.stack(
            [*np.meshgrid(rows, columns, indexing="ij"), np.full((len(rows), len(columns)), band)],
            axis=-1,
        )
        if task is not None:
            grid = grid[earth.open_sea[grid[..., 0], grid[..., 1] % earth.width]]
        places.append(grid.reshape(-1, 3))
    starts = np.concatenate(places)
    if not len(starts):
        where = "this map" if part is None else f"the region {part!r} of this map"
        need = (
            "no sea to start from; task=None starts anywhere"
            if task
            else "no room to move in; use region=None"
        )
        raise ValueError(f"{where} has {need}")
    return starts


def _check_options(stride, task, region, render_mode) -> None:
    """Refuses options that make no game, each with a sentence."""
    if not 1 <= stride <= WINDOW or stride != int(stride):
        raise ValueError(
            f"stride must be a whole number of pixels from 1 to {WINDOW}, got {stride}"
        )
    check_choice("task", task, TASKS)
    check_choice("region", region, REGIONS)
    check_choice("render_mode", render_mode, (None, *RealWorldMap.metadata["render_modes"]))
