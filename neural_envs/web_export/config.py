"""The settings of the verb `export-web`."""

from __future__ import annotations

from dataclasses import dataclass

from collectors.settings.parse import check_settings, setting


@dataclass(frozen=True)
class ExportWebConfig:
    """Write dreams as a folder for any static host: a page that plays them in the browser, without
    a server of ours and with the network off. Try it with `python -m http.server -d OUT`.
    """

    bundles: tuple[str, ...] = setting(
        ("snake", "pong", "coinrun", "worldmap"),
        "what to export: released names, directories or Hub repositories, as bare words",
    )
    out: str = setting("site", "the folder to write")
    policy: tuple[str, ...] = setting(
        (), "trained agents, policy.zip of ppo: players on the page of their worlds"
    )
    runtime: str = setting(
        "",
        "a local copy of the npm package onnxruntime-web: its .tgz or its folder; none: the kept "
        "copy, else by npm or from the registry",
    )
    webgpu: bool = setting(
        True, "ship the runtime for WebGPU too, 27 MB that pages load where there is a card"
    )
    overwrite: bool = setting(False, "write into a folder that is there already")

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.bundles:
            raise ValueError("setting 'bundles' names nothing to export")
