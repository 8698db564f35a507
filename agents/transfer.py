"""Does an agent that learned in the dream play the real game? `neural-envs transfer snake`.

The same PPO with the same budget and seed is trained in the dream and in the real game; both, and a random policy,
are measured in the real game. transfer = (dream-trained - random) / (real-trained - random), in mean return.
"""

import hashlib
import json
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from collectors.policies import make_policy
from collectors.settings import as_text, parse
from neural_envs.bundles import resolve_bundle

from .evaluate import Episodes, bootstrap, interval, play_policy, summarise
from .ppo import POLICY_FILE, PPOConfig, load_policy, train_ppo
from .presets import PPOSettings, ppo_settings
from .worlds import Kind, env_id, find_world

HALVES: tuple[Kind, ...] = ("dream", "real")
EPISODES_FILE = "episodes.json"
ACTIONS = {"snake": 4}


class TransferError(ValueError):
    """The folder holds a transfer of other settings; the message says which."""


@dataclass(frozen=True)
class TransferConfig:
    """Train the same PPO in the dream and in the real game, then measure both in the real game."""

    name: str = field(default="snake", metadata={"help": "the world"})
    steps: int = field(default=300_000, metadata={"help": "training budget of each, in environment steps"})
    episodes: int = field(default=128, metadata={"help": "real episodes for each policy"})
    out: str = field(default="runs/transfer", metadata={"help": "folder; finished halves in it are not repeated"})
    seed: int = field(default=0, metadata={"help": "seed of both trainings and of the evaluation"})
    bundle: str | None = field(default=None, metadata={"help": "the dream's model; none: the released one"})
    ppo: PPOSettings = field(default_factory=PPOSettings)


def transfer_score(dream: float, real: float, random: float) -> float:
    """Return the share of the real game's learning that the dream gives; nan where the real game taught nothing."""
    learned = real - random
    return (dream - random) / learned if learned else float("nan")


def transfer_interval(returns: dict[str, np.ndarray], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the score; `returns` has (E,) returns for dream, real and random."""
    generator = np.random.default_rng(seed)
    dream, real, random = (bootstrap(returns[name], generator) for name in ("dream", "real", "random"))
    learned = np.where(real == random, np.nan, real - random)
    scores = (dream - random) / learned
    scores = scores[np.isfinite(scores)]
    return interval(scores) if len(scores) else (float("nan"), float("nan"))


def train_half(config: TransferConfig, kind: Kind) -> float:
    """Train in the dream or in the real game, unless that is done; return the seconds that it took.

    Raises TransferError if the half was made with other settings or with another model.
    """
    out = Path(config.out) / kind
    run = PPOConfig(config.name, kind, config.steps, str(out), config.seed, config.bundle, config.ppo)
    model = _fingerprint(config) if kind == "dream" else "none"
    wanted = as_text(replace(run, out="", bundle=None)) + f"\nmodel: {model}"
    record = out / "half.json"
    if record.is_file() and (out / POLICY_FILE).is_file():
        made = json.loads(record.read_text())
        if made["settings"] != wanted:
            raise TransferError(f"{out} was trained with other settings or another model; delete it or change --out")
        return made["seconds"]
    start = time.monotonic()
    train_ppo(run)
    seconds = time.monotonic() - start
    _write_json(record, {"settings": wanted, "seconds": seconds})
    (out / EPISODES_FILE).unlink(missing_ok=True)
    return seconds


def measure(config: TransferConfig, name: str) -> Episodes:
    """Play real episodes with the "dream" or "real" policy or with the "random" one, unless that is done."""
    record = Path(config.out) / name / EPISODES_FILE
    wanted = {"episodes": config.episodes, "seed": config.seed}
    if record.is_file():
        made = json.loads(record.read_text())
        if made["settings"] == wanted:
            return Episodes.from_dict(made["played"])
    random = name == "random"
    policy = make_policy("random", ACTIONS[config.name]) if random else load_policy(record.parent / POLICY_FILE)
    played = play_policy(policy, env_id(config.name, "real"), config.episodes, config.seed + 1_000_000)
    record.parent.mkdir(parents=True, exist_ok=True)
    _write_json(record, {"settings": wanted, "played": played.as_dict()})
    return played


def run_transfer(config: TransferConfig) -> dict:
    """Do what is not done yet, write `transfer.json` and return what is in it."""
    seconds = {f"seconds_{kind}": round(train_half(config, kind), 1) for kind in HALVES}
    played = {name: measure(config, name) for name in (*HALVES, "random")}
    returns = {name: episodes.returns for name, episodes in played.items()}
    means = {name: float(values.mean()) for name, values in returns.items()}
    result = {
        **{name: summarise(episodes, config.seed).as_dict() for name, episodes in played.items()},
        "transfer": transfer_score(**means),
        "transfer_ci": list(transfer_interval(returns, config.seed)),
        "budget_steps": config.steps,
        **seconds,
    }
    _write_json(Path(config.out) / "transfer.json", result)
    return result


def _fingerprint(config: TransferConfig) -> str:
    """Return the sha256 of the weights that the dream runs on."""
    weights = resolve_bundle(config.bundle or find_world(config.name).bundle) / "model.safetensors"
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def _write_json(path: Path, values: dict) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(values, indent=2) + "\n")
    partial.replace(path)


def format_table(result: dict) -> str:
    """Return the result as lines for a terminal."""
    lines = [f"{'trained in':<12}{'return':>8}  {'95 %':<16}{'apples':>8}  {'95 %':<16}{'steps':>7}{'episodes':>10}"]
    for name in (*HALVES, "random"):
        row = result[name]
        spans = ["{:.2f} to {:.2f}".format(*row[key]) for key in ("return_ci", "apples_ci")]
        lines.append(
            f"{name:<12}{row['return_mean']:>8.2f}  {spans[0]:<16}{row['apples_mean']:>8.2f}  {spans[1]:<16}"
            f"{row['length_mean']:>7.0f}{row['episodes']:>10}"
        )
    low, high = result["transfer_ci"]
    return "\n".join([*lines, f"transfer {result['transfer']:.3f} (95 %: {low:.3f} to {high:.3f})"])


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    name = words[0] if words and not words[0].startswith("-") else TransferConfig.name
    preset = TransferConfig(name=name, ppo=ppo_settings(name))
    config = parse(preset, words, "neural-envs transfer", positional=("name",))
    try:
        result = run_transfer(config)
    except (ValueError, FileNotFoundError) as error:
        print(f"neural-envs transfer: {error}", file=sys.stderr)
        return 1
    print(format_table(result))
    print(f"written to {Path(config.out) / 'transfer.json'}")
    return 0
