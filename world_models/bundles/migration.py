"""Bundles of older formats: one table of what was renamed, and pure functions that apply it.

Version 1 named tensors and settings with words of its own; version 2 names them as the code does.
`load_bundle` applies the table in memory; `neural-envs migrate` writes the result. To rename an
attribute that holds weights, or a field of a model's config, add a row to `RENAMES`; for a new
field one to `ADDED`.

A rule for tensors is a regular expression and its replacement. All rules of a row are applied, in
order, and must leave a name alone that is new already: a migration that was interrupted between two
files is then simply finished by the next one. Checkpoints of runs (`checkpoint_*.pt`) are not
migrated: a run goes on with the version that began it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

FORMAT_VERSION = 2

Value = TypeVar("Value")


class Renames(NamedTuple):
    """What one version renamed in the bundles of one kind of model, or of all kinds."""

    kinds: tuple[str, ...]  # kinds of models as the old version names them; () for all
    tensors: tuple[tuple[str, str], ...] = ()  # regular expression, replacement
    keys: tuple[tuple[str, str], ...] = ()  # dotted path in config.json, new last part
    values: tuple[tuple[str, Any, Any], ...] = ()  # dotted path after the renames, old, new


RENAMES: dict[int, tuple[Renames, ...]] = {  # by the version that is left behind
    1: (
        Renames(
            (),
            tensors=(
                (r"^head\.fine\.", "head.pixels."),
                (r"\bcopy\.((?:\d+\.)?)choose\.", r"copy.\1source."),
                (r"\bcopy\.((?:\d+\.)?)point\.", r"copy.\1patch_flow."),
                (r"\bcopy\.((?:\d+\.)?)pan\.", r"copy.\1frame_flow."),
            ),
        ),
        Renames(
            ("diffusion", "latent"),
            tensors=(
                (r"\.(before_attention|before_mlp)\.told\.", r".\1.linear."),
                (r"^network\.given\.", "network.context."),
            ),
        ),
        Renames(
            ("chance",),
            tensors=(
                (r"^sprites\.picture$", "sprites.appearance"),
                (r"^sprites\.cover$", "sprites.opacity"),
                (r"^sprites\.reason\.", "sprites.dynamics."),
                (r"^sprites\.usual$", "sprites.detector.background"),
                (r"^sprites\.lively$", "sprites.detector.activity"),
                (r"^sprites\.known$", "sprites.detector.updates"),
            ),
        ),
        Renames(("forcing",), tensors=((r"^network\.where$", "network.place"),)),
        Renames(
            ("joint",),
            tensors=(
                (r"^board\.", "context_encoder."),
                (r"^cells\.enter\.", "frame_codec.encoder."),
                (r"^cells\.leave\.", "frame_codec.decoder."),
                (r"^told\.", "action."),
                (r"^moved\.", "action_trunk."),
                (r"^field\.board\.", "field.context."),
                (r"^field\.told\.", "field.film.linear."),
            ),
        ),
        Renames(
            ("chance", "diffusion", "joint", "latent"),
            tensors=(
                (r"^chance\.seen\.", "chance.target_encoder."),
                (r"^chance\.paint\.", "chance.place_embed."),
                (r"^chance\.embed\.", "chance.code_embed."),
            ),
        ),
        Renames(("pixel",), keys=(("model.told", "known_actions"),)),
    ),
}

# Settings that came later: kind, dotted path, and the value with which older bundles are as before.
ADDED: tuple[tuple[str, str, Any], ...] = (
    ("chance", "model.most_colors", 0),
    ("chance", "model.palette", 0),
    ("chance", "model.point_weight", 0.0),
    ("tokens", "model.copy_pixels", False),
    ("tokens", "model.choice_temperature", 0.0),
    ("tokens", "model.spread_order", False),
    ("tokens", "model.new_temperature", None),
    ("tokens", "model.new_edge", 0),
    ("tokens", "model.move_temperature", None),
    ("tokens", "model.pixel_features", 0),
    ("tokens", "model.network.scroll", []),
    ("tokens", "model.rare", 0.0),
    ("tokens", "model.erased", 0.0),
    ("tokens", "model.new_only", 0.5),
    ("tokens", "model.own_moves", 0.0),
    ("tokens", "model.sure_copy", 1.0),
    ("tokens", "model.least_share", 0.0),
    ("tokens", "model.draw_ends", False),
    ("tokens", "model.outcomes_by_frame", False),
    ("tokens", "model.tokenizer.focus", 0.0),
)


def migrate_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a config.json of any known version in the newest one; pure."""
    migrated = _copied(config)
    for version in range(config["format_version"], FORMAT_VERSION):
        for row in _rows(version, migrated["kind"]):
            for path, name in row.keys:
                _rename(migrated, path, name)
            for path, old, new in row.values:
                _replace(migrated, path, old, new)
        migrated["format_version"] = version + 1
    for kind, path, value in ADDED:
        *above, last = path.split(".")
        parent = _at(migrated, above)
        if migrated["kind"] == kind and isinstance(parent, dict):
            parent.setdefault(last, value)
    return migrated


def migrate_tensors(config: Mapping[str, Any], tensors: Mapping[str, Value]) -> dict[str, Value]:
    """The tensors of a bundle by their newest names; `config` is the one that lies beside them, in
    the version that it was written in.

    Raises ValueError where two tensors would get the same name.
    """
    migrated = dict(tensors)
    for version in range(config["format_version"], FORMAT_VERSION):
        rules = [rule for row in _rows(version, config["kind"]) for rule in row.tensors]
        named = [(_renamed(name, rules), value) for name, value in migrated.items()]
        migrated = dict(named)
        if len(migrated) < len(named):
            raise ValueError("two tensors get the same name in the newest format")
    return migrated


def _rows(version: int, kind: str) -> list[Renames]:
    return [row for row in RENAMES.get(version, ()) if not row.kinds or kind in row.kinds]


def _renamed(name: str, rules: list[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(part) for key, part in value.items()}
    return value


def _rename(config: dict, path: str, name: str) -> None:
    """Renames the last part of a dotted path in place, keeping the order; nothing where the path
    leads nowhere."""
    *above, last = path.split(".")
    parent = _at(config, above)
    if isinstance(parent, dict) and last in parent:
        renamed = {name if key == last else key: value for key, value in parent.items()}
        parent.clear()
        parent.update(renamed)


def _replace(config: dict, path: str, old: Any, new: Any) -> None:
    *above, last = path.split(".")
    parent = _at(config, above)
    if isinstance(parent, dict) and last in parent and parent[last] == old:
        parent[last] = new


def _at(config: Any, path: list[str]) -> Any:
    for part in path:
        config = config.get(part) if isinstance(config, dict) else None
    return config
