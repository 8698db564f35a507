"""The bundles that a server offers, each loaded once. Visitors share the models, which no step
changes: a dream's own sampler steps and guidance live in its environment (see `sampling`),
so threads need no lock between them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from collectors.worlds.table import WORLDS
from neural_envs.bundles import load, released_names, resolve_bundle

if TYPE_CHECKING:
    from world_models.bundles.bundle import Bundle

WORLD_ORDER = tuple(WORLDS)


class BundleInfo(NamedTuple):
    """A bundle as the page lists it."""

    name: str
    world: str
    source: str  # what `bundles.load` takes


class BundleCatalogue:
    """The released bundles and `more`, directories or Hub repositories.

    Raises BundleError where one is no bundle.
    """

    def __init__(self, more: Sequence[str] = (), device: str = "cpu"):
        self.device, self.loaded, self.hashes, self.lock = device, {}, {}, threading.Lock()
        self.offers: dict[str, BundleInfo] = {}
        for source in (*more, *released_names()):
            name = source if source in released_names() else Path(source).resolve().name
            name = name if name not in self.offers else source
            config = json.loads((resolve_bundle(source) / "config.json").read_text())
            self.offers[name] = BundleInfo(name, config["spec"]["world"], source)
        for source in more:
            load(source, device)  # a wrong one is found now, not by a visitor

    def listed(self) -> list[BundleInfo]:
        """Every offer: own bundles first, then by world, each world's default bundle before the
        others.
        """
        own = [offer for offer in self.offers.values() if offer.source not in released_names()]
        rest = [offer for offer in self.offers.values() if offer not in own]
        order = {world: i for i, world in enumerate(WORLD_ORDER)}
        return own + sorted(
            rest, key=lambda o: (order.get(o.world, len(order)), o.name != o.world, o.name)
        )

    def find(self, name: str = "", world: str = "") -> BundleInfo:
        """The offer of a name, or the first one of a world; ValueError lists what there is."""
        fitting = [
            offer
            for offer in self.listed()
            if name in ("", offer.name) and world in ("", offer.world)
        ]
        if fitting:
            return fitting[0]
        if name:
            raise ValueError(
                f"there is no bundle '{name[:60]}' here; there are {', '.join(self.offers)}"
            )
        worlds = dict.fromkeys(offer.world for offer in self.listed())
        raise ValueError(f"there is no world '{world[:60]}' here; there are {', '.join(worlds)}")

    def hash(self, offer: BundleInfo) -> str:
        """What a `.dream` file calls the bundle by."""
        from neural_envs.replays.replay_file import bundle_hash

        with self.lock:
            if offer.name not in self.hashes:
                self.hashes[offer.name] = bundle_hash(resolve_bundle(offer.source))
            return self.hashes[offer.name]

    def borrow(self, offer: BundleInfo) -> Bundle:
        """The bundle, loaded when it is first asked for and kept from then on."""
        with self.lock:
            if offer.name not in self.loaded:
                self.loaded[offer.name] = load(offer.source, self.device)
            return self.loaded[offer.name]
