"""Can the action be recognized in what was dreamed? For worlds without rules: by a small network
that learned it on real frames.

N transitions, A actions, H x W x C a frame. The probe is trained on training episodes, and applied
to real and to dreamed next frames of the test split, and to the last frame again: what it still
recognizes there comes from habits of the policies, not from the frame.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from world_models.evaluation.action_classes import ActionClasses
from world_models.evaluation.evaluator import Evaluator, Runs, Target, mean
from world_models.evaluation.test_split import SplitReader
from world_models.protocols import WorldSpec

# frames (N, H, W, C) uint8 -> (N, A) int64: for each action the plainest one of the same effect
EquivalentKeys = Callable[[np.ndarray], np.ndarray]
TRANSITIONS, PASSES, BATCH, WIDTH, LEARNING_RATE = 6_000, 5, 64, 32, 2e-3
CELLS = 4  # features are averaged over this many cells along each axis


class ActionProbe(nn.Module):
    """From the frame before the last, the last and the next one
    to the action between the latter two.
    """

    def __init__(self, channels: int, actions: int):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3 * channels, WIDTH, 4, 4), nn.SiLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, 2, 1), nn.SiLU(),
            nn.AdaptiveAvgPool2d(CELLS), nn.Flatten(),
        )  # fmt: skip
        self.action_logits = nn.Linear(WIDTH * CELLS**2, actions)

    def forward(self, past: Tensor, after: Tensor) -> Tensor:
        """past (N, K, H, W, C) uint8, its last one or two frames count;
        after (N, H, W, C) uint8 -> logits (N, A).
        """
        earlier, last, after = (
            frame.permute(0, 3, 1, 2).float() / 127.5 for frame in (*_two(past), after)
        )
        return self.action_logits(
            self.features(torch.cat((last - 1, after - last, last - earlier), 1))
        )


def _two(past: Tensor) -> tuple[Tensor, Tensor]:
    return past[:, max(0, past.shape[1] - 2)], past[:, -1]


def train_probe(
    episodes: SplitReader,
    actions: int | ActionClasses,
    seed: int = 0,
    keys: EquivalentKeys | None = None,
    transitions: int = TRANSITIONS,
) -> ActionProbe:
    """A probe that learned the actions of so many transitions, at most; seeded, some ten seconds
    on one core.

    `keys` that are equivalent are one action to it, the plainest of them.
    """
    order = np.random.default_rng(seed)
    window = episodes.window(episodes.transitions(transitions, order))
    past, after = window.context.frames[:, -2:], window.frames[:, 1]
    action = window.actions[:, 0]
    if not isinstance(actions, int):
        action, actions = actions.of(action), len(actions)
    if keys is not None:
        effects = torch.from_numpy(keys(past[:, -1].numpy()))
        action = effects.gather(1, action[:, None])[:, 0]
    with torch.random.fork_rng(devices=[]):  # layers draw from the global generator
        torch.manual_seed(seed)
        probe = ActionProbe(after.shape[-1], actions)
    # torch's stubs do not know memory_format
    probe.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    steps = PASSES * -(-len(action) // BATCH)
    optimizer = torch.optim.AdamW(probe.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, steps)
    for _ in range(PASSES):
        for rows in torch.from_numpy(order.permutation(len(action))).split(BATCH):
            loss = F.cross_entropy(probe(past[rows], after[rows]), action[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return probe.eval().requires_grad_(False)


class ProbedActions(NamedTuple):
    """The actions that the probe recognizes in a batch, (N,) int64 each."""

    real: np.ndarray
    dreamed: np.ndarray
    copied: np.ndarray  # where the next frame is the last one again


class ProbingEvaluator(Evaluator):
    """Evaluates a world without rules: frames and outcomes are compared, and actions recognized by
    a probe once `fit` has trained it.
    """

    card = (*Evaluator.card, "rollout.changes.f1.1.value", "action_sensitivity.dream")
    targets = (
        *Evaluator.targets[:3],
        Target("rollout.changes.f1.1", "pixels that change in one step, F1"),
        Target("rollout.changes.f1.10", "pixels that changed after 10 steps, F1"),
        *Evaluator.targets[3:],
    )

    def __init__(self, spec: WorldSpec):
        super().__init__(spec)
        self.probe: ActionProbe | None = None
        self.classes = ActionClasses(spec)

    def fit(self, episodes: SplitReader, seed: int, transitions: int) -> None:
        """Trains the probe."""
        self.probe = train_probe(episodes, self.classes, seed, transitions=transitions)

    def decode_batch(self, context, real, dreamed, action):
        if self.probe is None:
            return None
        past = torch.from_numpy(context)
        nexts = (real, dreamed, context[:, -1])
        return ProbedActions(
            *(self.probe(past, torch.from_numpy(after)).argmax(1).numpy() for after in nexts)
        )

    def action_figures(self, runs: Runs) -> dict:
        """How often the probe is right; `copied` and `most_common`,
        the share of one action, need no dream.
        """
        run, other = runs.one_step, runs.random_actions
        if run.decoded is None:
            return super().action_figures(runs)
        action, given = (self.classes.of(part.action).numpy() for part in (run, other))
        return {
            "dream": mean(run.decoded.dreamed == action),
            "real": mean(run.decoded.real == action),
            "copied": mean(run.decoded.copied == action),
            "most_common": float(np.bincount(action).max() / len(action)),
            "samples": len(action),
            "dream_random_actions": mean(other.decoded.dreamed == given),
            "copied_random_actions": mean(other.decoded.copied == given),
            "samples_random_actions": len(given),
            "read_by": "a small network trained on training episodes",
        }
