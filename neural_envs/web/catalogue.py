"""The bundles that a server offers, each loaded once.

All connections share the models, which no step changes: a dream's sampling options are arguments of
its steps, so threads need no lock between them. A bundle is read on a thread of its own, for which
no thread that steps dreams waits.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple

from collectors.worlds.table import WORLDS, unknown
from neural_envs.bundles import label_of, load, released_names, resolve_bundle
from neural_envs.play.twins import PlayError, make_dream, real_twin
from neural_envs.web.agent_list import AgentList
from neural_envs.web.keyboards import keyboards
from world_models.bundles.identity import bundle_hashes
from world_models.world_spec import WorldSpec

if TYPE_CHECKING:
    from world_models.bundles.bundle import Bundle

QUOTED_CHARACTERS = 60  # of an unknown name in a message


class BundleInfo(NamedTuple):
    """A bundle as the page lists it."""

    name: str
    world: str
    source: str  # what `bundles.load` takes
    about: str = ""  # family, size and quality, for who chooses


class BundleCatalogue:
    """The released bundles and `more`, directories or Hub repositories, played by the keys of one's
    own that `keys` are the words of, see `keyboards`.

    Raises BundleError where one is no bundle, and KeysError.
    """

    def __init__(self, more: Sequence[str] = (), device: str = "cpu", keys: Sequence[str] = ()):
        self.device, self.lock = device, threading.Lock()
        self.agents = AgentList()
        self.loaded: dict[str, Bundle] = {}
        self.coming: dict[str, Future[Bundle]] = {}  # those that are read now
        self.hashes: dict[str, tuple[str, ...]] = {}
        self.bundles: dict[str, BundleInfo] = {}
        for source in (*more, *released_names()):
            name = source if source in released_names() else self._free_name(source)
            path = resolve_bundle(source)
            config = json.loads((path / "config.json").read_text())
            about = _about(config, (path / "model.safetensors").stat().st_size)
            self.bundles[name] = BundleInfo(name, config["spec"]["world"], source, about)
        for source in more:
            load(source, device)  # a wrong one is found now, not when somebody plays it
        self.keyboards = self._own_keyboards(keys, more) if keys else {}
        self.twins: dict[str, tuple[str, tuple[str, ...]]] = {}  # bundle's name -> id, its options

    def _own_keyboards(
        self, words: Sequence[str], more: Sequence[str]
    ) -> dict[str, dict[tuple, Any]]:
        """Keyboards by the names of bundles."""
        infos = {info.source: info for info in self.ordered()}
        specs = {info.name: self._spec(info, info.source in more) for info in infos.values()}
        return keyboards(words, specs, [infos[source].name for source in more])

    def set_twin(self, twin: str, words: Sequence[str] = ()) -> None:
        """The game of id `twin`, with options as ("continuous=true",), is the real one of the
        bundles whose game is no world of the table: those that name it, else all that it fits.

        Raises PlayError where there is none, and as `real_twin` where it fits none.
        """
        others = [info for info in self.ordered() if info.world not in WORLDS]
        errors = [PlayError("--twin is the real game of a dream of another game: add its --bundle")]
        for info in [info for info in others if info.world == twin] or others:
            dream = make_dream(info.world, self.device, self.load(info))
            try:
                real_twin(dream, info.world, twin, tuple(words)).close()
                self.twins[info.name] = twin, tuple(words)
            except PlayError as error:
                errors.append(error)
            finally:
                dream.close()
        if not self.twins:
            raise errors[-1]

    def _spec(self, info: BundleInfo, is_loaded: bool) -> WorldSpec:
        if is_loaded:  # maybe of a format that is migrated as it is loaded
            return load(info.source, self.device).model.spec
        config = json.loads((resolve_bundle(info.source) / "config.json").read_text())
        return WorldSpec.from_dict(config["spec"])

    def _free_name(self, source: str) -> str:
        """A short name, with a number where another bundle has it: never a whole path."""
        stem = name = label_of(source)
        taken, number = {*self.bundles, *released_names()}, 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        return name

    def ordered(self) -> list[BundleInfo]:
        """Every bundle: the released ones by world, each world's default bundle before its others,
        then those of `more`.
        """
        own = [info for info in self.bundles.values() if info.source not in released_names()]
        rest = [info for info in self.bundles.values() if info not in own]
        order = {world: i for i, world in enumerate(WORLDS)}
        released = sorted(
            rest, key=lambda i: (order.get(i.world, len(order)), i.name != i.world, i.name)
        )
        return released + own

    def find(self, name: str = "", world: str = "") -> BundleInfo:
        """The bundle of a name, or the first one of a world.

        Raises ValueError with the nearest name where there is none.
        """
        fitting = [
            info for info in self.ordered() if name in ("", info.name) and world in ("", info.world)
        ]
        if fitting:
            return fitting[0]
        if name:
            raise ValueError(unknown("bundle", name[:QUOTED_CHARACTERS], self.bundles))
        worlds = dict.fromkeys(info.world for info in self.ordered())
        raise ValueError(unknown("world", world[:QUOTED_CHARACTERS], worlds))

    def hashes_of(self, info: BundleInfo) -> tuple[str, ...]:
        """The hashes by which a `.dream` file may name the bundle."""
        if info.name not in self.hashes:  # two that ask at once find the same
            self.hashes[info.name] = bundle_hashes(resolve_bundle(info.source))
        return self.hashes[info.name]

    def load(self, info: BundleInfo) -> Bundle:
        """The bundle, loaded when it is first asked for and kept from then on; waits for it."""
        return self.loading(info).result()

    def loading(self, info: BundleInfo) -> Future[Bundle]:
        """The bundle to come, read once however many ask for it meanwhile; where that fails, the
        next one who asks has it tried again.
        """
        with self.lock:
            if info.name in self.coming:
                return self.coming[info.name]
            future: Future[Bundle] = Future()
            future.set_running_or_notify_cancel()  # nobody who goes away takes it from the others
            if info.name in self.loaded:
                future.set_result(self.loaded[info.name])
                return future
            self.coming[info.name] = future
        threading.Thread(
            target=self._read, args=(info, future), name=f"load {info.name}", daemon=True
        ).start()
        return future

    def _read(self, info: BundleInfo, future: Future[Bundle]) -> None:
        try:
            bundle = load(info.source, self.device)
        except BaseException as error:
            with self.lock:
                del self.coming[info.name]
            future.set_exception(error)
            return
        with self.lock:
            self.loaded[info.name] = bundle
            del self.coming[info.name]
        future.set_result(bundle)


def _about(config: Mapping[str, Any], size: int) -> str:
    """As "chance, 0.4 MB, 31 dB": family, size, PSNR of the next frame where that is known."""
    words = [str(config.get("kind", ""))[:20], f"{size / 1e6:.1f} MB"]
    psnr = config.get("scores", {}).get("one_step.psnr")
    if isinstance(psnr, int | float):
        words.append(f"{psnr:.0f} dB")
    return ", ".join(filter(None, words))
