"""Pictures that move and strips of them: MP4 and GIF files, PNG strips, two films side by side.

T frames, H x W pixels, always uint8 RGB; enlarging repeats pixels, so a pixel game stays sharp.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from collectors.files import partial_path

GAP = 2  # pixels of the world between two films side by side
GAP_COLOUR = (40, 44, 62)
STRIP_COLUMNS = 8
GAIN = 2.0  # a difference of half the range is shown in full
DIMMEST, DIM, HOT = (
    22,
    0.22,
    (255, 206, 120),
)  # greys of 22 to 78 where pictures agree, and where they do not
PAPER, INK = (18, 20, 32), (205, 212, 230)


class VideoWriter(Protocol):
    """A film being written: `add` frames, then `close`; the file appears under its name only when
    it is complete.
    """

    path: Path
    count: int

    def add(self, frame: np.ndarray) -> None: ...
    def close(self) -> None: ...
    def discard(self) -> None: ...


def open_video(path: str | Path, fps: float, scale: int = 1) -> VideoWriter:
    """A writer for ``.mp4`` (H.264) or ``.gif``; frames are enlarged `scale` times.

    ValueError for another suffix.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise ValueError(
            f"cannot write {path.name!r}: a video's name ends in {' or '.join(WRITERS)}"
        )
    if fps <= 0 or scale < 1:
        raise ValueError(f"a video needs fps > 0 and scale >= 1, got fps={fps} and scale={scale}")
    path.parent.mkdir(parents=True, exist_ok=True)
    return WRITERS[path.suffix.lower()](path, fps, scale)


def write_video(
    path: str | Path, frames: Iterable[np.ndarray], fps: float = 10, scale: int = 4
) -> Path:
    """Write `frames`, (T, H, W, 3) uint8 or an iterable of (H, W, 3), as the MP4 or GIF that the
    suffix names.

    Raises ValueError, and leaves no file, where there is no frame or one that is not uint8 RGB of
    the first one's size.
    """
    writer = open_video(path, fps, scale)
    try:
        for frame in frames:
            writer.add(frame)
    except BaseException:
        writer.discard()
        raise
    writer.close()
    return Path(path)


def write_film(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: float = 10,
    scale: int = 4,
    pictures: int = 24,
) -> Path:
    """Write frames (H, W, 3) uint8 as what the suffix names: a film, or a .png with `pictures` of
    them, spread evenly.

    Raises ValueError for another suffix, ImportError where MP4 lacks its ffmpeg, OSError where
    nothing can be written.
    """
    path = Path(path)
    if path.suffix.lower() in WRITERS:
        return write_video(path, frames, fps, scale)
    if path.suffix.lower() != ".png":
        raise ValueError(
            f"cannot write {path.name!r}: a name ends in {', '.join(WRITERS)} or .png (a strip)"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    film = list(frames)
    chosen = np.unique(np.linspace(0, len(film) - 1, min(pictures, len(film))).round().astype(int))
    rows = [chosen[at : at + STRIP_COLUMNS] for at in range(0, len(chosen), STRIP_COLUMNS)]
    return write_strip(path, [[film[number] for number in row] for row in rows], scale)


def write_strip(
    path: str | Path,
    rows: Sequence[Sequence[np.ndarray]],
    scale: int = 2,
    gap: int = 4,
    labels: Sequence[str] = (),
) -> Path:
    """Write a PNG with one row of pictures for each sequence of (H, W, 3) uint8 frames; `labels`
    name the rows.
    """
    from PIL import Image

    if not rows or not all(len(row) for row in rows):
        raise ValueError("a strip needs at least one row, and every row at least one frame")
    if labels and len(labels) != len(rows):
        raise ValueError(f"{len(labels)} labels for {len(rows)} rows of a strip")
    strips = [
        _join([enlarge(_checked(frame), scale) for frame in row], gap, axis=1) for row in rows
    ]
    if labels:
        margin = max(_text_width(label) for label in labels) + 2 * gap
        strips = [
            _join([_label(text, len(strip), margin), strip], 0, axis=1)
            for text, strip in zip(labels, strips, strict=True)
        ]
    body = _join(strips, gap, axis=0)
    picture = np.full((body.shape[0] + 2 * gap, body.shape[1] + 2 * gap, 3), PAPER, np.uint8)
    picture[gap : gap + body.shape[0], gap : gap + body.shape[1]] = body
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, format="PNG")
    return Path(path)


def side_by_side(a: np.ndarray, b: np.ndarray, gap: int = GAP) -> np.ndarray:
    """Two frames (H, W, 3), or two films (T, H, W, 3), in one; the shorter film waits on its last
    frame.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim != b.ndim or a.ndim not in (3, 4):
        raise ValueError(
            f"side_by_side takes two frames or two films, got shapes {a.shape} and {b.shape}"
        )
    if a.ndim == 3:
        return _join([_checked(a), _checked(b)], gap, axis=1, filling=GAP_COLOUR)
    if not len(a) or not len(b):
        raise ValueError("side_by_side got a film without frames")
    length = max(len(a), len(b))
    return np.stack(
        [side_by_side(a[min(t, len(a) - 1)], b[min(t, len(b) - 1)], gap) for t in range(length)]
    )


def to_rgb(frames: np.ndarray) -> np.ndarray:
    """Frames (..., H, W, C) as images for people, (..., H, W, 3).

    Of stacked frames the newest; grey is repeated over the three channels.
    """
    if frames.shape[-1] % 3 == 0:
        return frames[..., -3:]
    return frames[..., -1:].repeat(3, -1)


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(..., H, W, 3) uint8 from two frames (..., H, W, C): a dim grey `b` where they agree, the
    brighter the less.
    """

    a, b = to_rgb(np.asarray(a)).astype(np.float32), to_rgb(np.asarray(b)).astype(np.float32)
    if a.shape != b.shape:
        raise ValueError(f"there is no difference between frames of shapes {a.shape} and {b.shape}")
    apart = (np.abs(a - b).max(-1, keepdims=True) * (GAIN / 255)).clip(0, 1)  # (..., H, W, 1)
    grey = DIMMEST + DIM * b.mean(-1, keepdims=True)
    return (grey + apart * (np.array(HOT, np.float32) - grey)).round().astype(np.uint8)


def png(picture: np.ndarray, scale: int = 1) -> bytes:
    """A picture (H, W, 3) uint8, enlarged, as the bytes of a PNG file."""
    from PIL import Image

    packed = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(enlarge(_checked(picture), scale))).save(packed, "PNG")
    return packed.getvalue()


def enlarge(frame: np.ndarray, scale: int) -> np.ndarray:
    """(H, W, C) -> (scale * H, scale * W, C), each pixel repeated."""
    return frame if scale == 1 else np.repeat(np.repeat(frame, scale, axis=0), scale, axis=1)


class _Writer:
    """What both kinds share: the checks, the count and the file under a temporary name until
    `close`.
    """

    def __init__(self, path: Path, fps: float, scale: int):
        self.path, self.fps, self.scale, self.count = path, fps, scale, 0
        self.part = partial_path(path)
        self.size: tuple[int, ...] = ()

    def add(self, frame: np.ndarray) -> None:
        frame = _checked(frame)
        if self.count and frame.shape != self.size:
            raise ValueError(
                f"frame {self.count} of {self.path.name} is {frame.shape}, the first one "
                f"{self.size}"
            )
        self.size = frame.shape
        self._write(np.ascontiguousarray(enlarge(frame, self.scale)))
        self.count += 1

    def close(self) -> None:
        if not self.count:
            raise ValueError(f"no frames to write to {self.path.name}")
        self._finish()
        os.replace(self.part, self.path)

    def discard(self) -> None:
        if self.count:
            self._finish()
        self.part.unlink(missing_ok=True)


class MP4Writer(_Writer):
    """H.264 through imageio-ffmpeg's own ffmpeg, one frame at a time: memory does not grow with the
    film.

    Raises ImportError, with the remedy, where there is no ffmpeg.
    """

    def __init__(self, path: Path, fps: float, scale: int):
        super().__init__(path, fps, scale)
        self.ffmpeg = _ffmpeg()

    def _write(self, frame: np.ndarray) -> None:
        odd = frame.shape[0] % 2, frame.shape[1] % 2  # H.264 wants even sides
        frame = np.pad(frame, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge")
        if not self.count:
            self.process = self.ffmpeg.write_frames(
                str(self.part),
                frame.shape[1::-1],
                fps=self.fps,
                quality=8,
                macro_block_size=2,
                ffmpeg_log_level="error",
            )
            self.process.send(None)
        self.process.send(np.ascontiguousarray(frame))

    def _finish(self) -> None:
        self.process.close()


class GIFWriter(_Writer):
    """An endless GIF of at most 256 colours a frame, through Pillow; frames are kept until the
    end.
    """

    def _write(self, frame: np.ndarray) -> None:
        from PIL import Image

        self.pictures = self.pictures if self.count else []
        self.pictures.append(Image.fromarray(frame))

    def _finish(self) -> None:
        first, *rest = self.pictures
        first.save(
            self.part,
            format="GIF",
            save_all=True,
            append_images=rest,
            duration=round(1000 / self.fps),
            loop=0,
        )


WRITERS = {".mp4": MP4Writer, ".gif": GIFWriter}


def _ffmpeg():
    try:
        import imageio_ffmpeg

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise ImportError(
            "MP4 files need ffmpeg: pip install 'imageio[ffmpeg]', or write a .gif instead"
        ) from error
    return imageio_ffmpeg


def _checked(frame: np.ndarray) -> np.ndarray:
    frame = np.asarray(frame)
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3 or not frame.size:
        raise ValueError(
            f"a frame is uint8 of shape (H, W, 3), got {frame.dtype} of shape {frame.shape}"
        )
    return frame


def _join(
    pictures: Sequence[np.ndarray], gap: int, axis: int, filling: tuple[int, int, int] = PAPER
) -> np.ndarray:
    """Pictures in a line along `axis`, `gap` pixels between; a lower one is centred, a narrower one
    starts left.
    """
    across = 1 - axis
    extent = max(picture.shape[across] for picture in pictures)
    shape = [0, 0, 3]
    shape[axis] = sum(picture.shape[axis] for picture in pictures) + gap * (len(pictures) - 1)
    shape[across] = extent
    canvas, at = np.full(shape, filling, np.uint8), 0
    for picture in pictures:
        before = (extent - picture.shape[across]) // 2 if axis == 1 else 0
        place = [slice(before, before + picture.shape[across])] * 2
        place[axis] = slice(at, at + picture.shape[axis])
        canvas[tuple(place)] = picture
        at += picture.shape[axis] + gap
    return canvas


def _label(text: str, height: int, width: int) -> np.ndarray:
    """(height, width, 3): `text` in the middle of the height, at the left."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (width, height), PAPER)
    ImageDraw.Draw(picture).text((4, height // 2), text, fill=INK, font=_font(), anchor="lm")
    return np.asarray(picture)


def _text_width(text: str) -> int:
    return int(_font().getlength(text)) + 4


def _font():
    from PIL import ImageFont

    return ImageFont.load_default(14)
