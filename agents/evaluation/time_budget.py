"""How much is measured in the time there is: all counts of `evaluate` shrink by one factor where
dreaming so much would take too long.

An evaluation is dreams nearly all the time, so dreamed frames are counted, and the model is timed.
"""

import time
from dataclasses import replace

import torch

from agents.evaluation.evaluate_config import EvaluateConfig
from agents.evaluation.ranking import ranked_policies
from collectors.worlds.table import WORLDS
from world_models.bundles.bundle import Bundle
from world_models.evaluation.rollouts import device_of, to_model
from world_models.noise import NoiseStream

DREAMED = 0.5  # share of the minutes for dreams; the rest: real games, probes, KID, plots and films
PLAYERS, WALKS = 4, 56  # of the games, see `make_players`; steps of `loop_closure`
SEQUENCE = 5 * 32  # steps that `decisions` dreams of a state
TIMED_LANES, TIMED_STEPS = 16, 3
LEAST = {  # counts do not shrink below; the first of two in a row shrinks before the second
    ("transitions",): 100,
    ("random_actions",): 50,
    ("trust_transitions",): 100,
    ("trust_contexts",): 100,
    ("rollouts",): 8,
    ("survival_lanes", "survival_steps"): 8,
    ("game_lanes", "game_steps"): 12,
    ("control_clips",): 16,
    ("decision_states",): 4,
    ("ranking_episodes", "ranking_steps"): 8,
}
FEWEST_STEPS = 32


def dreamed_frames(config: EvaluateConfig, world: str, policies: int) -> dict[str, float]:
    """About how many frames each phase dreams; `policies` play the closed loops."""
    one = (1 + config.trust_draws) * (config.transitions + config.random_actions)
    calibration = config.trust_transitions + min(config.random_actions, config.trust_transitions)
    closed = policies * config.survival_steps * config.survival_lanes
    held_out = one + calibration + config.trust_contexts / 2 + config.rollouts * config.horizon
    played = dreams_played(config) * config.game_steps + WALKS
    games = config.game * config.game_lanes * played
    ranked = len(ranked_policies(world, config.agents)) if world in WORLDS else 0
    ranking = ranked * config.ranking * config.ranking_episodes * config.ranking_steps
    control = 12 * config.control_clips + SEQUENCE * config.decision_states + ranking
    return {"held-out episodes": held_out + closed, "games": games, "control": control}


def dreams_played(config: EvaluateConfig) -> int:
    """How often the dreams are played for whole games, by all players."""
    players = (PLAYERS if config.all_players else 2) + bool(config.policy)
    return players + bool(config.min_trust)


def fitted(config: EvaluateConfig, rate: float, world: str, policies: int) -> EvaluateConfig:
    """The settings with counts that fit into `config.minutes` at `rate` dreamed frames per second;
    those of `LEAST` are measured whatever it takes.
    """

    def seconds(one: EvaluateConfig) -> float:
        return sum(dreamed_frames(one, world, policies).values()) / rate

    allowed, share, fewer = 60 * config.minutes * DREAMED, 1.0, config
    while config.minutes and seconds(fewer) > allowed and share > 1e-3:
        share *= 0.9
        fewer = _shrunk(config, share)
    return fewer


def _shrunk(config: EvaluateConfig, share: float) -> EvaluateConfig:
    counts = {}
    for names, least in LEAST.items():
        left = share
        for name in names:
            now = getattr(config, name)
            least = FEWEST_STEPS if name.endswith("_steps") else least
            counts[name] = max(min(now, least), int(now * left))
            left = min(1.0, left * now / max(counts[name], 1))
    return replace(config, **counts)


def reduced(asked: EvaluateConfig, done: EvaluateConfig) -> dict[str, list[int]]:
    """{count: [asked for, measured]} of those that shrank and count at all."""
    unused = ("game",) * (not asked.game) + ("ranking",) * (not asked.ranking)
    names = [name for pair in LEAST for name in pair if not name.startswith(unused)]
    pairs = {name: [getattr(asked, name), getattr(done, name)] for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


@torch.inference_mode()
def frames_per_second(bundle: Bundle, config: EvaluateConfig) -> float:
    """How fast the model of a bundle dreams here, `TIMED_LANES` at a time."""
    model, sampling = bundle.model, bundle.model.resolve_options(config.sampling)
    rows = torch.arange(TIMED_LANES) % len(bundle.contexts)
    state = model.init(to_model(bundle.contexts.choose(rows), model))
    noise = to_model(NoiseStream.from_seeds(torch.arange(TIMED_LANES)), model)
    zeros = model.spec.actions.encoded_zeros((TIMED_LANES,))
    action = torch.from_numpy(zeros).to(device_of(model))
    state = model.step(state, action, noise, sampling).state
    started = time.monotonic()
    for _ in range(TIMED_STEPS):
        noise = noise.next()
        state = model.step(state, action, noise, sampling).state
    return TIMED_LANES * TIMED_STEPS / max(time.monotonic() - started, 1e-6)
