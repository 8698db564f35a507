"""`make games`: the public games, each dreamed by one preset, measured, and its figures kept.

Each is `neural-envs dream ID --minutes N`, then `evaluate` with whole games and `transfer`; a run
goes on where it stopped. What cannot be done with a game is its figure too: the sentence of that.
"""

import sys
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium

from agents.envs import weights_fingerprint
from agents.evaluation.evaluate import EvaluateConfig, evaluate_bundle
from agents.evaluation.how_made import how_made
from agents.experiments import transfer
from agents.experiments.dream import SHARES, DreamConfig, DreamRun
from agents.experiments.stages import Settings, StageError, Stages, read_state
from agents.ppo.train import load_policy
from agents.results.gallery import beside, play_both, small_gif
from agents.results.games_table import image_paths
from agents.results.pages import ROOT
from agents.results.public_games import (
    GAMES,
    PUBLIC_GAMES,
    shortened_evaluation,
    shortened_transfer,
    write_game,
)
from agents.results.released import OF_A_MACHINE, read_file
from agents.results.strips import depth_strip, write_depths
from collectors.dataset.dataset import Dataset, dataset_name
from collectors.files import write_atomically
from collectors.locks import LockError
from collectors.settings.parse import check_settings, setting
from collectors.settings.run_command import command, explained
from collectors.worlds.table import UnknownNameError, unknown
from neural_envs.play.config import PlayConfig

EVALUATED = 1 / 6  # of the minutes of a dream, for `evaluate`
LEAST_STEPS = 20_000  # of a training in transfer
SHORT = 5.0  # minutes of evaluation below which it is a first look
EVALUATION: dict[str, Any] = {  # what no table shows is left out
    "game_lanes": 16,
    "game_steps": 600,
    "min_trust": 0.0,
    "all_players": False,
    "trust_draws": 0,
    "decision_states": 0,
    "ranking": False,
}
DEPTHS = (1, 10, 32, 100, 500)  # of a strip
NOT_OF_THE_GAME = (LockError, StageError, OSError, ImportError)  # it can be run another time


@dataclass(frozen=True)
class GamesConfig:
    """Dream public games, measure each dream, and keep its figures."""

    games: tuple[str, ...] = setting((), "which: " + ", ".join(PUBLIC_GAMES) + "; none: all")
    minutes: float = setting(60.0, "a dream may take about so long", least=0.5)
    steps: int = setting(
        0,
        f"of each training of transfer; 0: as the agent of the dream, {LEAST_STEPS} at least",
        least=0,
    )
    seeds: tuple[int, ...] = setting((0, 1, 2), "of these trainings")
    episodes: int = setting(16, "real games per policy", least=2)
    out: str = setting("dreams", "folder of the runs, each in a folder of its game's name")
    measured: str = setting(str(GAMES), "folder of the figures")
    docs: str = setting(str(ROOT / "docs"), "folder of strips and films; none if empty")
    workers: int = setting(2, "processes that record", least=1)
    threads: int = setting(0, "CPU threads of training; 0: torch's choice", least=0)
    device: str = setting("cpu", "where models are trained, e.g. cuda")

    def __post_init__(self) -> None:
        check_settings(self)
        if OF_A_MACHINE.match(self.out):  # refused now, not after hours
            raise ValueError(
                f"out={self.out}: figures name no place of a machine; give a relative folder"
            )
        for name in self.games:
            if name not in PUBLIC_GAMES:
                raise UnknownNameError(unknown("public game", name, PUBLIC_GAMES))


class GameRun:
    """One public game: its dream, what is measured of it, and `figures` as far as they are."""

    def __init__(self, config: GamesConfig, game: str):
        self.config, self.options = config, PUBLIC_GAMES[game]
        self.dream = DreamConfig(
            game,
            config.minutes,
            str(Path(config.out) / dataset_name(game)),
            self.options,
            workers=config.workers,
            threads=config.threads,
            device=config.device,
            serve=False,
        )
        made = how_made("dream", replace(self.dream, serve=True), DreamConfig(), ("id",))
        self.figures: dict[str, Any] = {"made": made, "weights": "", "id": game}

    def run(self) -> None:
        """Do what is not done yet. Raises what its parts raise."""
        game, config = self.dream.id, self.config
        dream = DreamRun(self.dream)
        dream.run()
        bundle = str(dream.bundle)
        found = read_state(dream.root / "state.json")
        done = found[1] if found else {}
        self.figures |= {
            "weights": weights_fingerprint(game, bundle),
            "family": done["record"]["family"],
            "frames": Dataset(dream.data).steps,
            "minutes": sum(done[stage]["seconds"] for stage in SHARES) / 60,
            "trained_on": done["dream"].get("machine"),
        }
        self.figures["evaluation"] = self.evaluate(dream)
        if config.docs:
            self.draw(bundle)
        self.figures["transfer"] = self.transfer(dream)

    def evaluate(self, dream: DreamRun) -> dict[str, Any]:
        """The figures of the dream, with whole games of it and of the real game."""
        minutes, root = max(1.0, EVALUATED * self.config.minutes), dream.root / "measured"
        config = EvaluateConfig(
            bundle=str(dream.bundle),
            data=str(dream.data),
            out=str(root / "evaluation"),
            real=self.dream.id,
            real_options=self.options,
            minutes=minutes,
            quick=minutes < SHORT,
            device=self.config.device,
            **EVALUATION,
        )
        file = root / "evaluation" / "evaluation.json"
        decided = {"weights": self.figures["weights"], "minutes": str(minutes)}

        def work() -> dict[str, Any]:
            evaluate_bundle(config)
            return {}

        Stages(root).run("evaluate", work, Settings(decided, {}), product=file, repeat=True)
        return shortened_evaluation(read_file(file))

    def transfer(self, dream: DreamRun) -> dict[str, Any]:
        """What agents that learned in the dream, and others, earn in the real game."""
        preset = transfer.preset([self.dream.id])
        config = replace(
            preset,
            steps=self.config.steps or max(LEAST_STEPS, load_policy(dream.policy).num_timesteps),
            seeds=self.config.seeds,
            episodes=self.config.episodes,
            out=str(dream.root / "transfer"),
            bundle=str(dream.bundle),
            real_options=self.options,
            exploitation_points=0,
            device=self.config.device,
        )
        return shortened_transfer(transfer.run_transfer(config))

    def draw(self, bundle: str) -> None:
        """A strip by depth and a film, dream and game."""
        game = self.dream.id
        strip, film = (Path(self.config.docs) / path for path in image_paths(game))
        drawn = depth_strip(bundle, DEPTHS, named=game, options=self.options)
        strip.parent.mkdir(parents=True, exist_ok=True)
        write_depths(strip, drawn)
        both = PlayConfig(bundle=bundle, twin=game, real_options=self.options, policy="sticky")
        frames, fps = beside([play_both(both)], [""])  # the page has the id, which is too long here
        write_atomically(film, small_gif(frames, fps))


def measure_game(config: GamesConfig, game: str) -> str:
    """Run a game and write its file; a line about it. Raises what is not of the game: a folder that
    another process writes or that holds another run, a package that is not installed, a full disk.
    """
    one = GameRun(config, game)
    try:
        one.run()
        line = f"{game}: measured"
    except (*NOT_OF_THE_GAME, gymnasium.error.DependencyNotInstalled):
        raise
    except Exception as error:
        reason = explained(error)
        if reason is None and not isinstance(error, ValueError):
            raise
        if reason is None:  # perhaps ours, perhaps a bug
            traceback.print_exc()
        reason = reason or str(error)
        one.figures["failed"] = " ".join(reason.split())
        line = f"{game}: failed, {one.figures['failed']}"
    return f"{line}; {write_game(Path(config.measured), one.figures)}"


def run(config: GamesConfig) -> int:
    """Run all games, each whatever the others did; 1 where one was not run to its end."""
    code = 0
    for game in config.games or PUBLIC_GAMES:
        try:
            print(measure_game(config, game), flush=True)
        except Exception as error:  # the next games are run: they take hours each
            code = 1
            known = isinstance(error, NOT_OF_THE_GAME) or explained(error)
            if not known:
                traceback.print_exc()
            print(f"{game} was not measured: {error}", file=sys.stderr, flush=True)
    return code


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(GamesConfig, run, argv, "python -m agents.results.games", ("games",))


if __name__ == "__main__":
    raise SystemExit(main())
