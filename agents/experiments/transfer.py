"""`neural-envs transfer WORLD`: does an agent that learned in the dream play the real game?

The same PPO with the same budget and seed is trained in the dream and in the real game; both, and a
random policy, are measured in the real game. transfer = (dream-trained - random) / (real-trained -
random), in mean return. With several seeds all is done once per seed, and the means are over all of
their games. Both halves are measured in the same real game: that of training (CoinRun's training
levels), or the one of `--real-options levels=test` (held-out levels).
"""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from agents.envs import (
    WORLD_HELP,
    Kind,
    action_count,
    env_id,
    env_settings,
    find_twins,
    named_world,
    weights_fingerprint,
)
from agents.evaluation.how_made import how_made
from agents.evaluation.play import Episodes, bootstrap, interval, play_policy, summarise
from agents.experiments.stages import Settings, Stages, settings_of, write_json
from agents.ppo.presets import PPOSettings, ppo_settings
from agents.ppo.train import POLICY_FILE, PPOConfig, dreamed_weights, load_policy, train_ppo
from collectors.locks import locked
from collectors.policies.policies import make_policy
from collectors.settings.parse import setting
from collectors.settings.run_command import command

HALVES: tuple[Kind, ...] = ("dream", "real")
MEANS = ("return_mean", "length_mean")  # the third mean is that of what the world calls an event
PLAYERS = (*HALVES, "random")


@dataclass(frozen=True)
class TransferConfig:
    """Train the same PPO in the dream and in the real game, then measure both in the real game."""

    name: str = setting("snake", WORLD_HELP)
    steps: int = setting(300_000, "training budget of each, in environment steps")
    episodes: int = setting(128, "real episodes for each policy")
    out: str = setting("runs/transfer", "folder; finished halves in it are not repeated")
    seed: int = setting(0, "seed of both trainings and of the evaluation")
    seeds: tuple[int, ...] = setting((), "several seeds, each with a folder; none: --seed")
    bundle: str | None = setting(None, "the dream's model; none: the released one")
    min_trust: float | None = setting(
        None, "trust below which the dream is cut short in training; none: never"
    )
    starts: str = setting(
        "", "a dataset: dreams branch off anywhere in its training episodes, not at starts"
    )
    horizon: int | None = setting(
        None, "steps after which a dream is cut short, as a truncation; none: the game's"
    )
    real_options: tuple[str, ...] = setting(
        (), "of the real game in which all are measured, as levels=test; not of training"
    )
    ppo: PPOSettings = field(default_factory=PPOSettings)


def transfer_score(dream: float, real: float, random: float) -> float:
    """(dream - random) / (real - random): the dream's share of what the real game teaches.

    nan (null in JSON) where the real game taught nothing.
    """
    learned = real - random
    return (dream - random) / learned if learned else float("nan")


def transfer_interval(returns: dict[str, np.ndarray], seed: int = 0) -> tuple[float, float]:
    """The 95 % bootstrap interval of the score; `returns` has (E,) returns of each player."""
    generator = np.random.default_rng(seed)
    return _score_interval(*(bootstrap(returns[name], generator) for name in PLAYERS))


def seeds_interval(returns: list[dict[str, np.ndarray]], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval over training seeds and their games.

    Seeds are drawn with replacement, and so are the games of each drawn seed.
    """
    generator = np.random.default_rng(seed)
    means = {
        name: np.stack([bootstrap(one[name], generator) for one in returns]) for name in PLAYERS
    }  # (S, resamples)
    drawn = generator.integers(len(returns), size=means["dream"].shape)
    return _score_interval(*(np.take_along_axis(means[name], drawn, 0).mean(0) for name in PLAYERS))


def _score_interval(dream: np.ndarray, real: np.ndarray, random: np.ndarray) -> tuple[float, float]:
    """The interval of the scores of resampled means."""
    learned = np.where(real == random, np.nan, real - random)
    scores = (dream - random) / learned
    scores = scores[np.isfinite(scores)]
    return interval(scores) if len(scores) else (float("nan"), float("nan"))


def train_half(config: TransferConfig, kind: Kind, stages: Stages) -> dict:
    """Train in the dream or in the real game, unless that is done; the policy's hash and seconds.

    Raises StageError if the half was made with other settings or with another model.
    """
    out = str(Path(config.out) / kind)
    half = PPOConfig(config.name, kind, config.steps, out, config.seed, config.bundle)
    half = replace(half, ppo=config.ppo)
    if kind == "dream":
        half = replace(
            half, min_trust=config.min_trust, starts=config.starts, horizon=config.horizon
        )
    settings = settings_of(half, ("out", "bundle", "ray", "actors"), model=dreamed_weights(half))
    product = Path(half.out) / POLICY_FILE

    def work() -> dict:
        train_ppo(half)
        return {"policy": hashlib.sha256(product.read_bytes()).hexdigest()}

    return stages.run(f"{kind}/train", work, settings, product, check=_policy_hash)


def _policy_hash(found: dict) -> None:
    if len(bytes.fromhex(found["policy"])) != hashlib.sha256().digest_size:
        raise ValueError("no hash of a policy")


def measure(config: TransferConfig, name: str, policy: str, stages: Stages) -> Episodes:
    """Play real episodes with the "dream", "real" or "random" policy, unless that is done.

    `policy` is the hash of its file: those of another policy are played again.
    """
    decided = {"episodes": str(config.episodes), "seed": str(config.seed), "policy": policy}
    decided["real_options"] = ",".join(config.real_options)

    def work() -> dict[str, list]:
        game = env_id(config.name, "real", config.bundle)
        settings = _real_settings(config)
        if name == "random":
            player = make_policy("random", action_count(game, **settings))
        else:
            player = load_policy(Path(config.out) / name / POLICY_FILE)
        seed = config.seed + 1_000_000
        return play_policy(player, game, config.episodes, seed, **settings).as_dict()

    found = stages.run(
        f"{name}/play", work, Settings(decided, {}), repeat=True, check=Episodes.check_dict
    )
    return Episodes.from_dict(found)


def _real_settings(config: TransferConfig) -> dict:
    """The constructor settings of the real game in which all are measured."""
    return env_settings(config.name, "real", config.bundle, config.real_options)


def run_transfer(config: TransferConfig) -> dict:
    """Do what is not done yet, write `transfer.json` and return what is in it."""
    if not config.seeds:
        return run_seed(config)[0]
    with locked(config.out):
        return run_seeds(config)


def run_seeds(config: TransferConfig) -> dict:
    """Do the transfer of each seed, in folders of their own, and write what they give together."""
    root = Path(config.out)
    runs = [replace(config, seed=s, seeds=(), out=str(root / f"seed_{s}")) for s in config.seeds]
    results, played = zip(*(run_seed(run) for run in runs), strict=True)
    pooled = {name: Episodes.joined([one[name] for one in played]) for name in PLAYERS}
    returns = [{name: episodes.returns for name, episodes in one.items()} for one in played]
    result = {
        **_summaries(pooled, config),
        "transfer_ci": list(seeds_interval(returns, config.seeds[0])),
        "budget_steps": config.steps,
        **{
            f"seconds_{kind}": round(sum(one[f"seconds_{kind}"] for one in results), 1)
            for kind in HALVES
        },
        "seeds": {str(seed): one for seed, one in zip(config.seeds, results, strict=True)},
    }
    return _write_result(config, result)


def _summaries(played: dict[str, Episodes], config: TransferConfig) -> dict:
    """What each player achieved and the score of the means."""
    event = find_twins(config.name, config.bundle).event
    means = {name: float(episodes.returns.mean()) for name, episodes in played.items()}
    rows = {
        name: summarise(episodes, config.seed).as_dict(event) for name, episodes in played.items()
    }
    return {**rows, "transfer": transfer_score(**means)}


def run_seed(config: TransferConfig) -> tuple[dict, dict[str, Episodes]]:
    """Do one seed's transfer and write its `transfer.json`; return what is in it, and the episodes.

    Raises LockError where another process writes the folder.
    """
    with locked(config.out):
        return _run_seed(config)


def _run_seed(config: TransferConfig) -> tuple[dict, dict[str, Episodes]]:
    if config.real_options:  # wrong ones fail before an hour of training
        action_count(env_id(config.name, "real", config.bundle), **_real_settings(config))
    stages = Stages(Path(config.out))
    made = {kind: train_half(config, kind, stages) for kind in HALVES}
    policies = {**{kind: half["policy"] for kind, half in made.items()}, "random": "random"}
    played = {name: measure(config, name, policies[name], stages) for name in PLAYERS}
    returns = {name: episodes.returns for name, episodes in played.items()}
    result = {
        **_summaries(played, config),
        "transfer_ci": list(transfer_interval(returns, config.seed)),
        "budget_steps": config.steps,
        **{f"seconds_{kind}": half["seconds"] for kind, half in made.items()},
    }
    return _write_result(config, result), played


def _write_result(config: TransferConfig, result: dict) -> dict:
    """Write `transfer.json` and return what is in it: a score that is nan becomes None (null)."""
    low, high = result["transfer_ci"]
    preset_of_world = TransferConfig(config.name, ppo=ppo_settings(config.name))
    result = {
        "made": how_made("transfer", config, preset_of_world, ("name",)),
        "weights": weights_fingerprint(config.name, config.bundle),
        **result,
        "transfer": _number(result["transfer"]),
        "transfer_ci": [_number(low), _number(high)],
    }
    write_json(Path(config.out) / "transfer.json", result)
    return result


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def format_table(result: dict) -> str:
    """The result as lines for a terminal."""
    event = next(
        key[: -len("_mean")]
        for key in result["random"]
        if key not in MEANS and key.endswith("_mean")
    )
    lines = [
        f"{'trained in':<12}{'return':>8}  {'95 %':<16}{event:>9}  "
        f"{'95 %':<16}{'steps':>7}{'episodes':>10}"
    ]
    for name in PLAYERS:
        row = result[name]
        spans = ["{:.2f} to {:.2f}".format(*row[key]) for key in ("return_ci", f"{event}_ci")]
        lines.append(
            f"{name:<12}{row['return_mean']:>8.2f}  {spans[0]:<16}{row[f'{event}_mean']:>9.2f}  "
            f"{spans[1]:<16}{row['length_mean']:>7.0f}{row['episodes']:>10}"
        )
    if result["transfer"] is None:
        return "\n".join([*lines, "transfer: none, for the real game taught nothing"])
    low, high = (np.nan if end is None else end for end in result["transfer_ci"])
    return "\n".join([*lines, f"transfer {result['transfer']:.3f} (95 %: {low:.3f} to {high:.3f})"])


def run(config: TransferConfig) -> str:
    """Run the experiment; return its table and where it is written."""
    table = format_table(run_transfer(config))
    return f"{table}\nwritten to {Path(config.out) / 'transfer.json'}"


def preset(words: list[str]) -> TransferConfig:
    """The settings of the world that the command line is about."""
    name = named_world(words, TransferConfig.name)
    return TransferConfig(name=name, ppo=ppo_settings(name))


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(preset, run, argv, "neural-envs transfer", ("name",))
