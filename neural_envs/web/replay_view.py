"""A dream from a file, dreamed again while somebody watches."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from collections.abc import Mapping
from typing import Any

from neural_envs.replays.dream_format import JSON_MEMBER, TERMINATED, TRUNCATED, DreamFileError
from neural_envs.replays.replay_file import DreamFile, check, check_actions, replay
from neural_envs.web.catalogue import BundleCatalogue, BundleInfo
from neural_envs.web.frames import View
from neural_envs.web.protocol import MAX_GUIDANCE, MAX_SAMPLER_STEPS, MAX_TEMPERATURE

MAX_UNPACKED_BYTES = 32 * 2**20
MAX_JSON_BYTES = 2**18  # small values in JSON take up to 20 times their text in memory
MAX_STEPS = 20_000
ENDINGS = {TERMINATED: "game over", TRUNCATED: "stopped"}


def read_dream(data: bytes, catalogue: BundleCatalogue) -> tuple[DreamFile, BundleInfo]:
    """A `.dream` file from anywhere, and its bundle, found by its hash in the catalogue, never by
    the name or the path in the file. DreamFileError where it is none, or of no bundle here.
    """
    file = _checked_file(data)
    return file, _bundle_of(file, catalogue)


class ReplayView:
    """The dream of what `read_dream` found. DreamFileError where its bundle cannot dream it.

    `remark` says why frames may differ from the recorded ones.
    """

    def __init__(self, file: DreamFile, info: BundleInfo, catalogue: BundleCatalogue):
        self.file, self.info = file, info
        bundle = catalogue.load(self.info)
        check_actions(file, bundle.model.spec)
        source, name = self.info.source, self.info.name
        self.remark = check(file, source).replace(source, name)  # no path of this machine
        self.frames = replay(file, bundle, catalogue.device)
        self.frame, self.step, self.return_ = next(self.frames), 0, 0.0
        self.paused = False

    @property
    def over(self) -> bool:
        """Whether this was the last frame."""
        return self.step == len(self.file.actions)

    def tick(self) -> None:
        """The next frame, unless it is paused or over."""
        if not self.paused:
            self._next()

    def single_step(self) -> None:
        """Pause, and go on by one frame."""
        self.paused = True
        self._next()

    def _next(self) -> None:
        if self.over:
            return
        self.frame = next(self.frames)
        self.return_ += float(self.file.rewards[self.step])
        self.step += 1

    def show(self) -> tuple[dict[str, Any], list[View]]:
        """Header and view, as those of a `GameSession`."""
        last = self.step - 1
        outcome = int(self.file.outcomes[last]) if self.step else 0
        header = {
            "step": self.step,
            "steps": len(self.file.actions),
            "reward": round(float(self.file.rewards[last]), 4) if self.step else 0.0,
            "return": round(self.return_, 4),
            "trust": None,
            "ending": ENDINGS.get(outcome, "end of the file" if self.over else ""),
            "game": 1,
            "seed": self.file.seed,
            "paused": self.paused,
            "waiting": False,
            "player": "file",
            "message": "",
            "real": None,
            "replay": True,
        }
        return header, [View(f"file, {self.info.name}", self.frame)]


def _bundle_of(file: DreamFile, catalogue: BundleCatalogue) -> BundleInfo:
    """The bundle that dreamed the file, else the first one of its world."""
    bundles = catalogue.ordered()
    same = (info for info in bundles if file.bundle_hash in catalogue.hashes_of(info))
    world = (info for info in bundles if info.world == file.world)
    found = next(same, None) or next(world, None)
    if found is None:
        raise DreamFileError(
            f"this is a dream of '{file.world[:40]}', and there is no bundle of that world here"
        )
    return found


def _checked_file(data: bytes) -> DreamFile:
    """The file, within the limits of what is dreamed for a stranger, and by the plain backend."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(info.file_size for info in archive.infolist())
            names = [info.filename for info in archive.infolist()]
            text = sum(i.file_size for i in archive.infolist() if i.filename == JSON_MEMBER)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DreamFileError(f"this file is not a dream: {error}") from None
    if size > MAX_UNPACKED_BYTES:
        limit = MAX_UNPACKED_BYTES >> 20
        raise DreamFileError(f"this file unpacks to more than {limit} MB: too much to share")
    if text > MAX_JSON_BYTES or len(names) != len(set(names)):
        raise DreamFileError(f"the {JSON_MEMBER} of this file has more than {MAX_JSON_BYTES} bytes")
    file = DreamFile.from_bytes(data)
    if len(file.actions) > MAX_STEPS:
        raise DreamFileError(
            f"this dream has {len(file.actions)} steps; at most {MAX_STEPS} can be watched here"
        )
    if file.seed is not None and not (isinstance(file.seed, int) and abs(file.seed) < 2**63):
        raise DreamFileError("the seed of this dream is not a whole number of 64 bits")
    for settings in (file.settings, *(segment.settings for segment in file.segments)):
        _check_sampling(settings)
    return dataclasses.replace(file, settings={**file.settings, "backend": "eager"})


def _check_sampling(settings: Mapping[str, Any]) -> None:
    """DreamFileError for sampling options that the page's own sliders could not choose."""
    steps, guidance = settings.get("sampler_steps"), settings.get("guidance")
    if steps is not None and not (type(steps) is int and 1 <= steps <= MAX_SAMPLER_STEPS):
        raise DreamFileError(
            f"this dream wants more than {MAX_SAMPLER_STEPS} sampler steps per frame, or none at "
            "all"
        )
    for name, value, most in (
        ("guidance", guidance, MAX_GUIDANCE),
        ("temperature", settings.get("temperature"), MAX_TEMPERATURE),
    ):
        if value is not None and not (type(value) in (int, float) and 0 <= value <= most):
            raise DreamFileError(f"the {name} of this dream is not a number from 0 to {most:g}")
