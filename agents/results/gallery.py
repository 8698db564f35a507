"""`make gallery`: moving images of dreams beside their games, for README.md and docs/envs.

Both are played by the world's best policy, each by its own frames, from the same start and seed.
The seed is the first whose games both last. T frames, H x W pixels, uint8 RGB.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.results.concept_images import write_concepts
from agents.results.pages import ROOT
from collectors.files import write_atomically
from collectors.media import enlarge, label, side_by_side, to_rgb
from collectors.settings.parse import check_settings, setting
from collectors.settings.run_command import command
from collectors.worlds.table import WORLDS, find_world
from neural_envs.play.config import PlayConfig
from neural_envs.play.twins import make_session

FOLDER = "docs/gallery"
SECONDS, TRIES = 4.0, 12  # of a game; seeds that are tried
FPS = 15  # images per second at most: a faster world is thinned out
SCALE, HEAD, GAP = 3, 22, 6  # pixels: per pixel of a world, of the line above, between two
COLORS, RARE = 48, 16  # of an image: by how often, and by how different
TOP = ("snake", "coinrun")  # what README.md begins with


class Pair(NamedTuple):
    """A dream and its game, (T, H, W, 3) each."""

    dream: np.ndarray
    real: np.ndarray
    fps: int


@dataclass(frozen=True)
class GalleryConfig:
    """Film dreams beside their games into docs/gallery."""

    worlds: tuple[str, ...] = setting((), "worlds to film; none: all")
    seconds: float = setting(SECONDS, "length of a film", least=0.5)
    out: str = setting(str(ROOT / FOLDER), "the folder")

    def __post_init__(self) -> None:
        check_settings(self)


def run(config: GalleryConfig) -> str:
    """Write NAME.gif per world, top.gif and the images of concepts; returns names and sizes."""
    worlds = config.worlds or tuple(WORLDS)
    pairs = {name: play_pair(name, config.seconds) for name in {*worlds, *TOP}}
    films = {name: beside([pairs[name]], [find_world(name).title]) for name in worlds}
    films["top"] = beside([pairs[name] for name in TOP], [find_world(name).title for name in TOP])
    written = []
    for name, (frames, fps) in films.items():
        path = write_atomically(Path(config.out) / f"{name}.gif", small_gif(frames, fps))
        written.append(path)
    written += write_concepts(Path(config.out))
    sizes = [f"{path.name} {path.stat().st_size / 1e6:.2f} MB" for path in written]
    return f"written: {', '.join(sizes)}"


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(GalleryConfig, run, argv, "python -m agents.results.gallery", ("worlds",))


def play_pair(world: str, seconds: float = SECONDS, tries: int = TRIES) -> Pair:
    """Both games of the first seed in which they last so long; else of that in which the first to
    end lasts longest.
    """
    config = PlayConfig(world=world, real=True, policy=find_world(world).best_policy)
    return play_both(config, seconds, tries)


def play_both(config: PlayConfig, seconds: float = SECONDS, tries: int = TRIES) -> Pair:
    """The same of the dream, the real game and the policy that `config` names."""
    best = None
    for seed in range(tries):
        pair, whole = _played(replace(config, seed=seed), seconds)
        if best is None or len(pair.dream) > len(best.dream):
            best = pair
        if whole:
            break
    assert best is not None
    return best


def _played(config: PlayConfig, seconds: float) -> tuple[Pair, bool]:
    """A game from this seed up to the first end; whether it lasted."""
    session = make_session(config)
    steps, frames = round(seconds * session.fps), []
    while len(frames) <= steps:
        frames.append([to_rgb(view.score.frame).copy() for view in session.views])
        if any(view.score.ending for view in session.views):
            break
        session.tick()
    for view in session.views:
        view.env.close()
    dream, real = (np.stack(film) for film in zip(*frames, strict=True))
    return Pair(dream, real, session.fps), len(frames) > steps


def beside(pairs: Sequence[Pair], titles: Sequence[str]) -> tuple[np.ndarray, int]:
    """(T, H, W, 3) and its rate: dream and game of each pair in a row, with a line above.

    A shorter film waits on its last frame. A title may be empty where it is too long for its film.
    """
    fps = min(FPS, max(pair.fps for pair in pairs))
    seconds = max(len(pair.dream) / pair.fps for pair in pairs)
    times = np.arange(round(seconds * fps)) / fps
    films, heads = [], []
    for pair, title in zip(pairs, titles, strict=True):
        chosen = np.minimum((times * pair.fps + 1e-6).astype(int), len(pair.dream) - 1)
        dream = f"a dream of {title}" if title else "a dream"
        for film, name in ((pair.dream, dream), (pair.real, "the game")):
            films.append(np.stack([enlarge(frame, SCALE) for frame in film[chosen]]))
            heads.append(label(name, HEAD, films[-1].shape[2]))
    head = side_by_side(*heads, gap=GAP)
    row = side_by_side(*films, gap=GAP)
    return np.concatenate([np.broadcast_to(head, (len(row), *head.shape)), row], axis=1), fps


def small_gif(frames: np.ndarray, fps: int) -> bytes:
    """An endless GIF whose images share one palette, so that what stays is not stored again."""
    from PIL import Image

    palette = _palette(np.concatenate(list(frames[:: max(1, len(frames) // 8)])))
    first, *rest = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    ]
    packed = io.BytesIO()
    first.save(
        packed,
        "GIF",
        save_all=True,
        append_images=rest,
        duration=round(1000 / fps),
        loop=0,
        optimize=False,
    )
    return packed.getvalue()


def _palette(pixels: np.ndarray) -> Any:
    """An image of the colors of most pixels, and of those that only few have: food, a coin."""
    from PIL import Image

    image, colors = Image.fromarray(pixels), []
    for method, count in ((Image.Quantize.MEDIANCUT, COLORS), (Image.Quantize.MAXCOVERAGE, RARE)):
        colors += (image.quantize(count, method).getpalette() or [])[: 3 * count]
    palette = Image.new("P", (1, 1))
    palette.putpalette(colors)
    return palette


if __name__ == "__main__":
    raise SystemExit(main())
