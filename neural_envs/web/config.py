"""The settings of the verb `serve`."""

from __future__ import annotations

from dataclasses import dataclass

from collectors.settings.parse import check_settings, setting
from neural_envs.own_keys import keys_setting


@dataclass(frozen=True)
class ServeConfig:
    """A page on which dreams are played: pick a world, use the keyboard or touch, watch dream and
    game side by side.
    """

    bundle: tuple[str, ...] = setting(
        (), "further bundles beside the released ones: directories or Hub repositories"
    )
    policy: tuple[str, ...] = setting(
        (), "trained agents, policy.zip of ppo: players on the page beside the scripted ones"
    )
    keys: tuple[str, ...] = keys_setting(
        "; for the bundles of --bundle, without these for every dream that has the actions"
    )
    twin: str = setting(
        "",
        "the real game, any Gymnasium id, of those bundles of --bundle whose game is no world of "
        "ours",
    )
    real_options: tuple[str, ...] = setting((), "of the game of --twin, as continuous=true")
    host: str = setting(
        "127.0.0.1",
        "address to listen on; 0.0.0.0 lets everybody in who can reach this machine and knows the "
        "token that is printed, or with --names asks for one of these",
    )
    port: int = setting(8000, "port to listen on; 0 takes a free one", least=0, most=65_535)
    names: tuple[str, ...] = setting(
        (), "further host names the page is asked for by, as behind a proxy"
    )
    connections: int = setting(8, "open pages at a time; others are refused as busy", least=1)
    per_address: int = setting(4, "open pages of one address at a time", least=1)
    idle: float = setting(
        300.0,
        "seconds without a key or a click after which a page's dream is stopped",
        above=0,
        most=86_400,
    )
    threads: int = setting(0, "threads that step dreams; 0 is as many as there are cores", least=0)
    device: str = setting("cpu", "where dreams are computed, e.g. cuda")
    load_test: tuple[int, ...] = setting(
        (), "measure instead: this many pages at once, e.g. 1,2,4,8, opened by this machine"
    )
    seconds: float = setting(15.0, "how long each number of pages is measured", above=0)
    out: str = setting("serve.json", "where a measurement is written")

    def __post_init__(self) -> None:
        check_settings(self)
        if self.real_options and not self.twin:
            raise ValueError("setting 'real_options' is of the real game: name it with --twin ID")
        if any("*" in name for name in self.names):
            raise ValueError(
                "setting 'names' lists whole names; without any, a token is asked for instead"
            )
        if any(count < 1 for count in self.load_test):
            raise ValueError(f"setting 'load_test' got {self.load_test}, expected 1 or more each")
