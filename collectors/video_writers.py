"""MP4 and GIF files, written frame by frame.

Frames are (H, W, 3) uint8; enlarging repeats pixels, so a pixel game stays sharp.
"""

from __future__ import annotations

import errno
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from collectors.extras import MissingExtra, optional
from collectors.files import WriteError, complete, partial_path, remove, write_error, writing
from collectors.media import as_image, difference, enlarge, side_by_side, to_rgb, write_strip

STRIP_COLUMNS = 8
ROOM = 1 << 16  # bytes: a disk with less is full


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
    images: int = 24,
) -> Path:
    """Write frames (H, W, 3) uint8 as what the suffix names: a film, or a .png with `images` of
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
    chosen = np.unique(np.linspace(0, len(film) - 1, min(images, len(film))).round().astype(int))
    rows = [chosen[at : at + STRIP_COLUMNS] for at in range(0, len(chosen), STRIP_COLUMNS)]
    images_of = [[film[number] for number in row] for row in rows]
    return write_strip(path, images_of, scale, labels=[f"frame {row[0]}" for row in rows])


def write_both(path: Path, frames: np.ndarray, fps: float, scale: int = 4) -> None:
    """Write frames (T, H, W, 3) uint8 as `path`.gif, and as `path`.mp4 where its ffmpeg is
    installed; `path` has no suffix.
    """
    write_video(path.with_name(path.name + ".gif"), frames, fps, scale)
    try:
        write_video(path.with_name(path.name + ".mp4"), frames, fps, scale)
    except MissingExtra:  # a training is not to end for want of a film
        return


def write_comparison(path: Path, real: np.ndarray, dreamed: np.ndarray, fps: float) -> None:
    """Write real | dreamed | difference, films (T, H, W, C) uint8, as `write_both` does."""
    real, dreamed = to_rgb(real), to_rgb(dreamed)
    write_both(path, side_by_side(real, dreamed, difference(dreamed, real)), fps)


class _Writer(ABC):
    """What both kinds share: the checks, the count and the file under a temporary name until
    `close`.
    """

    def __init__(self, path: Path, fps: float, scale: int):
        self.path, self.fps, self.scale, self.count = path, fps, scale, 0
        self.part = partial_path(path)
        self.size: tuple[int, ...] = ()

    @abstractmethod
    def _write(self, image: np.ndarray) -> None:
        """Encode one enlarged frame (H, W, 3) uint8."""

    @abstractmethod
    def _finish(self) -> None:
        """Complete the temporary file."""

    @abstractmethod
    def _abandon(self) -> None:
        """End what writes the temporary file, whatever became of it."""

    def add(self, frame: np.ndarray) -> None:
        frame = as_image(frame)
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
        try:
            with writing(self.path):
                self._finish()
                complete(self.part, self.path)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        self._abandon()
        remove(self.part)


class MP4Writer(_Writer):
    """H.264 through imageio-ffmpeg's own ffmpeg, one frame at a time: memory does not grow with the
    film.

    Raises ImportError, with the remedy, where there is no ffmpeg.
    """

    def __init__(self, path: Path, fps: float, scale: int):
        super().__init__(path, fps, scale)
        self.ffmpeg, self.process = find_ffmpeg("write a .gif instead"), None

    def _write(self, image: np.ndarray) -> None:
        odd = image.shape[0] % 2, image.shape[1] % 2  # H.264 wants even sides
        image = np.pad(image, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge")
        if self.process is None:
            self.process = self.ffmpeg.write_frames(
                str(self.part),
                image.shape[1::-1],
                fps=self.fps,  # pyright: ignore[reportArgumentType] # typed by its default, 16
                quality=8,
                macro_block_size=2,
                ffmpeg_log_level="quiet",  # what fails is our sentence
            )
            self.process.send(None)
        try:
            self.process.send(np.ascontiguousarray(image))
        except OSError as error:
            raise self._failure() from error

    def _finish(self) -> None:
        self._abandon()
        if not is_whole_mp4(self.part):  # ffmpeg's exit code is not known
            raise self._failure()

    def _abandon(self) -> None:
        if self.process is not None:
            self.process.close()

    def _failure(self) -> WriteError:
        """ffmpeg does not say why: a full disk is found by its free space."""
        full = shutil.disk_usage(self.path.parent).free < ROOM
        if full:
            return write_error(self.path, OSError(errno.ENOSPC, ""))
        return write_error(
            self.path, OSError("ffmpeg ended too early"), "write a .gif, which needs no ffmpeg"
        )


class GIFWriter(_Writer):
    """An endless GIF of at most 256 colors per image, through Pillow; frames are kept until the
    end.
    """

    def __init__(self, path: Path, fps: float, scale: int):
        super().__init__(path, fps, scale)
        self.images: list[Any] = []

    def _write(self, image: np.ndarray) -> None:
        from PIL import Image

        self.images.append(Image.fromarray(image))

    def _abandon(self) -> None:
        self.images.clear()

    def _finish(self) -> None:
        first, *rest = self.images
        first.save(
            self.part,
            format="GIF",
            save_all=True,
            append_images=rest,
            duration=round(1000 / self.fps),
            loop=0,
        )


WRITERS = {".mp4": MP4Writer, ".gif": GIFWriter}


def is_whole_mp4(path: Path) -> bool:
    """Whether a file consists of whole boxes, of which "moov", the last to be written, is one."""
    data, at, names = path.read_bytes() if path.is_file() else b"", 0, []
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:  # a box of more than 4 GB has its size in the next eight bytes
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:
            return False
        names.append(data[at + 4 : at + 8])
        at += size
    return at == len(data) and b"moov" in names


def find_ffmpeg(instead: str = "") -> Any:
    """The module imageio_ffmpeg, with its ffmpeg. Raises MissingExtra with the remedy, and what can
    be done `instead`.
    """
    imageio_ffmpeg = optional("imageio_ffmpeg", instead=instead)
    try:
        imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        other = f", or {instead}" if instead else ""
        raise MissingExtra(f"MP4 files need ffmpeg: install it{other}") from error
    return imageio_ffmpeg
