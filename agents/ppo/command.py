"""`neural-envs ppo WORLD`: train an agent, then play the real game with it and film it.

What the training itself needs is in `train`; here is what a person sees of it: where it writes,
what is refused, how the agent plays, and what to do next.
"""

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import gymnasium as gym

from agents.envs import env_id, env_settings, find_twins, named_world, option
from agents.evaluation.early_checks import check_dream_of
from agents.evaluation.play import first_game, play_policy, summarise
from agents.evaluation.twin_film import film_twins
from agents.ppo.checkpoints import POLICY_FILE
from agents.ppo.presets import expected_time, ppo_settings, ppo_steps
from agents.ppo.run_folder import RunState, clear_run, state_of
from agents.ppo.train import PPOConfig, load_policy, run_text, train_ppo
from collectors.dataset.dataset import dataset_name
from collectors.settings.parse import check_settings, setting
from collectors.settings.run_command import command, first_word
from collectors.worlds.table import WORLDS


@dataclass(frozen=True)
class PPOCommand(PPOConfig):
    """Train PPO in a world's dream or in its real game, then play real games with it and film it.
    The same command goes on where it stopped."""

    games: int = setting(32, "real games that the finished agent plays; 0 leaves them out", least=0)
    film: int = setting(
        300, "most frames of its film, dream beside real game; 0 leaves it out", least=0
    )
    overwrite: bool = setting(False, "replace the agent of other settings that the folder holds")

    def __post_init__(self):
        check_settings(self)


def run(config: PPOCommand) -> str:
    """Train, measure, film; return the lines that say so, the last one what to do next.

    Raises ExistingFileError where the folder holds an agent or a run of other settings.
    """
    training = PPOConfig(**{each.name: getattr(config, each.name) for each in fields(PPOConfig)})
    state = state_of(Path(config.out), run_text(training) + "\n")
    policy = Path(config.out) / POLICY_FILE
    if config.overwrite:
        clear_run(Path(config.out))
    elif state is RunState.OTHER:
        raise FolderOfAnotherRun(config.out)
    if state is RunState.FINISHED and not config.overwrite:
        lines = [f"{policy} is finished already with these settings: nothing to do"]
        return "\n".join([*lines, *next_steps(config, policy)])
    check_world(config)
    check_games(config)
    print(start_line(config, state), flush=True)
    started = time.monotonic()
    train_ppo(training)
    lines = [f"{config.steps} steps in {time.monotonic() - started:.0f} s; policy: {policy}"]
    try:
        lines += real_games(config, policy)
    except gym.error.DependencyNotInstalled as error:
        lines.append(f"no real games were played: {error}")
        config = replace(config, games=0, film=0)
    return "\n".join([*lines, *next_steps(config, policy)])


class FolderOfAnotherRun(ValueError):
    """The output folder holds an agent, or a run, of other settings."""

    def __init__(self, folder: str):
        super().__init__(
            f"{folder} holds an agent that was trained with other settings or in another model "
            "(settings.yaml there says which); --out NAME trains elsewhere, --overwrite replaces it"
        )


def check_world(config: PPOConfig) -> None:
    """Raises the errors of a world that is not there, before anything is written."""
    env_settings(config.name, config.world, config.bundle, config.real_options)
    env_id(config.name, config.world, config.bundle)


def check_games(config: PPOCommand) -> None:
    """Raises ValueError where the real game that the agent would play or be filmed in at the end
    has other frames or actions than the dream.
    """
    if config.film or (config.games and config.world == "dream"):
        instead = "--film 0" if config.world == "real" else "--games 0 --film 0"
        check_dream_of(config.name, dream_name(config), config.real_options, instead)


def start_line(config: PPOCommand, state: RunState) -> str:
    """What is about to be trained, where, and with what."""
    where = "the real game" if config.world == "real" else f"the dream '{dream_name(config)}'"
    again = ", going on from its checkpoint" if state is RunState.BEGUN else ""
    time = expected_time(config.steps, config.ppo, config.device)
    return (
        f"PPO learns {config.name} in {where}: {config.steps} steps in "
        f"{config.ppo.num_envs} lanes {time}; seed {config.seed}, into {config.out}{again}"
    )


def dream_name(config: PPOConfig) -> str:
    """The bundle of a run, as it was named."""
    return config.bundle or find_twins(config.name).bundle


def real_games(config: PPOCommand, policy: Path) -> list[str]:
    """How the agent plays the real game, and where its film is.

    Raises gymnasium's DependencyNotInstalled where the game is not here.
    """
    name, bundle, lines = config.name, config.bundle, []
    settings = env_settings(name, "real", bundle, config.real_options)
    if config.games:
        agent, first = load_policy(policy), first_game(config.seed)
        game = env_id(name, "real", bundle)
        played = summarise(play_policy(agent, game, config.games, first, **settings))
        low, high = played.return_ci
        lines.append(
            f"in the real game: return {played.return_mean:.2f} (95 %: {low:.2f} to "
            f"{high:.2f}), {played.events_mean:.2f} {find_twins(name, bundle).event} and "
            f"{played.length_mean:.0f} steps per game, {played.episodes} games"
        )
    if config.film:
        out, seed = config.out, config.seed
        film = film_twins(name, bundle, str(policy), config.film, seed, out, settings)
        lines.append(f"film: {film.video} (dream: {film.dream}; real: {film.real})")
    return lines


def next_steps(config: PPOCommand, policy: Path) -> list[str]:
    """Commands that show the agent."""
    bundle = ["--bundle", config.bundle] if config.bundle else []
    agent, name, twin = ["--policy", str(policy)], [], twin_words(config)
    if config.name in WORLDS:  # another game is named by its bundle
        name = [config.name]
    play = ["neural-envs", "play", *name, *bundle, *twin, *agent]
    serve = ["neural-envs", "serve", *bundle, *([] if name else twin), *agent]
    return [f"watch it: {shlex.join(play)}", f"      or: {shlex.join(serve)}"]


def twin_words(config: PPOCommand) -> list[str]:
    """The words with which `play` shows the real game of a run, where that is known."""
    known = config.name in WORLDS
    if not (known or config.games or config.film):
        return []
    if known and not config.real_options:
        return ["--real"]
    twin = find_twins(config.name).real if known else config.name
    options = ["--real-options", ",".join(config.real_options)] if config.real_options else []
    return ["--twin", twin, *options]


def preset(words: Sequence[str]) -> PPOCommand:
    """The settings of the world that the command line is about, in a folder of its own."""
    real = option(words, "world") == "real"
    name = named_world(words, PPOConfig.name, real=real)
    out = f"runs/ppo/{dataset_name(name)}{'-real' if real else ''}"
    settings = PPOCommand(name=name, steps=ppo_steps(name), out=out, ppo=ppo_settings(name))
    if name not in WORLDS and first_word(words) is None and option(words, "name") is None:
        # a game that only the bundle names is not imported, see `named_world`
        settings = replace(settings, games=0, film=0)
    return replace(settings, world="real") if real else settings


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(preset, run, argv, "neural-envs ppo", ("name",))
