"""Films that somebody else made, read frame by frame by imageio-ffmpeg's own ffmpeg.

The container is given, not guessed, and only files are opened: a play list under the name of a film
would make ffmpeg read other files, or ask the network.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from collectors.size_limits import REMEDY, allow_large
from collectors.untrusted_files import DamagedFileError, check_regular, check_size, reason_of
from collectors.video_writers import find_ffmpeg

CONTAINERS = {  # by suffix; what ffmpeg calls each
    ".mp4": "mov",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "matroska",
    ".avi": "avi",
}
MOST_PIXELS = 2**24  # of a frame
MOST_FRAMES = 10**7  # of a film
COUNT_SECONDS = 600.0
# a film of uneven times is read as it is: no frame twice, none left out
EVERY_FRAME = ["-fps_mode", "passthrough"]


def count_frames(path: str | Path) -> int:
    """The number of frames of a film, counted without decoding it.

    Raises DamagedFileError for what is no film, FileNotFoundError, and ImportError without ffmpeg.
    """
    command = [find_ffmpeg().get_ffmpeg_exe(), "-nostdin", "-v", "error", "-progress", "-"]
    command += [*_input_options(path), "-i", _address(path)]
    command += ["-map", "0:v:0", "-c", "copy", "-f", "null", "/dev/null"]
    try:
        found = subprocess.run(command, capture_output=True, timeout=COUNT_SECONDS)
    except subprocess.TimeoutExpired:
        raise DamagedFileError(f"{path} is not read to its end in {COUNT_SECONDS:g} s") from None
    _check_pixels(path, found.stderr.decode(errors="replace"))
    lines = found.stdout.decode(errors="replace").splitlines()
    counts = [line.removeprefix("frame=") for line in lines if line.startswith("frame=")]
    if found.returncode or not counts or not counts[-1].isdigit():
        raise DamagedFileError(f"{path} holds no film that ffmpeg can read")
    check_size(str(path), int(counts[-1]), MOST_FRAMES, "frames")
    return int(counts[-1])


class FilmHeader(NamedTuple):
    """What a film says of its frames."""

    height: int
    width: int
    fps: float  # 0 where it says nothing


def film_header(path: str | Path) -> FilmHeader:
    """Size and rate of a film's frames, by its header. Raises as `count_frames` does."""
    try:
        reader: Any = find_ffmpeg().read_frames(
            _address(path), input_params=[*_input_options(path), "-noautorotate"]
        )
        with closing(reader):
            found = next(reader)
            width, height = found["size"]
    except (FileNotFoundError, DamagedFileError):
        raise
    except (OSError, RuntimeError, AssertionError, ValueError, IndexError, KeyError) as error:
        _check_pixels(path, str(error))
        raise DamagedFileError(f"{path} cannot be decoded ({reason_of(error)})") from None
    check_size(f"a frame of {path}", width * height, MOST_PIXELS, "pixels")
    return FilmHeader(height, width, float(found.get("fps") or 0))


def read_film(path: str | Path) -> Iterator[np.ndarray]:
    """The frames (H, W, 3) uint8 of a film, one at a time. Raises as `count_frames` does."""
    try:
        yield from _frames(path)
    except (FileNotFoundError, DamagedFileError):
        raise
    except (OSError, RuntimeError, AssertionError, ValueError, IndexError, KeyError) as error:
        _check_pixels(path, str(error))
        raise DamagedFileError(f"{path} cannot be decoded ({reason_of(error)})") from None


def _frames(path: str | Path) -> Iterator[np.ndarray]:
    reader: Any = find_ffmpeg().read_frames(
        _address(path),
        input_params=[*_input_options(path), "-noautorotate"],
        output_params=["-map", "0:v:0", *EVERY_FRAME],
    )
    with closing(reader):
        width, height = next(reader)["size"]
        check_size(f"a frame of {path}", width * height, MOST_PIXELS, "pixels")
        for content in reader:
            yield np.frombuffer(content, np.uint8).reshape(height, width, 3)


def _input_options(path: str | Path) -> list[str]:
    check_regular(path)
    suffix = Path(path).suffix.lower()
    if suffix not in CONTAINERS:
        raise DamagedFileError(f"{path} is no film: its name ends in none of {[*CONTAINERS]}")
    return ["-protocol_whitelist", "file", "-f", CONTAINERS[suffix], "-threads", "1", *_limits()]


def _limits() -> list[str]:
    """What makes ffmpeg refuse frames that are too large before it has room for them."""
    return [] if allow_large() else ["-max_pixels", str(MOST_PIXELS)]


def _check_pixels(path: str | Path, text: str) -> None:
    """Raises DamagedFileError where ffmpeg says that frames are beyond `_limits`."""
    if "specified max pixel count" in text:
        raise DamagedFileError(f"{path} has frames of more than {MOST_PIXELS:.4g} pixels; {REMEDY}")


def _address(path: str | Path) -> str:
    return f"file:{Path(path).resolve()}"
