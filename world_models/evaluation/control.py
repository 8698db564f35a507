"""Does the player control the dream? The `control` figures of evaluation.json.

N clips or contexts, T steps, A actions, H x W x C a frame.

* `delta_psnr`: how much better the frame T steps deep is with the true actions than with random
  ones (Genie, Bruce et al. 2024, arXiv:2402.15391, section 3): 0 where actions change nothing.
* `action_f1`: whether a network that learned the actions of real transitions recognizes those of
  dreamed ones, action by action.
* `equivalent`: whether keys that the game treats alike are alike in the dream.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from collectors.progress import progress
from world_models.evaluation import metrics
from world_models.evaluation.action_classes import ActionClasses
from world_models.evaluation.action_probe import TRANSITIONS, EquivalentKeys, train_probe
from world_models.evaluation.estimates import (
    bootstrap_interval,
    estimate,
    mean_estimate,
    share_estimate,
)
from world_models.evaluation.rollouts import device_of, on_cpu, rollouts, to_model
from world_models.evaluation.test_split import Place, SplitReader
from world_models.noise import NoiseStream
from world_models.protocols import SamplingOptions, State, Transition, WorldModel

ALIKE = 16  # gray levels of 255 that no pixel of two equal frames may differ by: nobody sees less
STEPS = 4  # of delta_psnr, as in Genie
SEED = 2_000_003  # of the first clip's noise
BATCH = 128
FEW, MANY = 4, 64  # states per clip in which two keys of the same effect are looked for


class Drawn(NamedTuple):
    """A model, how it draws frames, and the generator of every choice."""

    model: WorldModel
    options: SamplingOptions
    generator: np.random.Generator


def control_figures(
    drawn: Drawn,
    training: SplitReader,
    held_out: SplitReader,
    clips: int,
    keys: EquivalentKeys | None = None,
    transitions: int = TRANSITIONS,
) -> dict[str, Any]:
    """All of them, from `clips` held-out clips; the probe learns from so many `transitions` of
    `training`. `keys` says which the game treats alike, None that it has no such keys.
    """
    classes = ActionClasses(drawn.model.spec)
    probe = train_probe(training, classes, keys=keys, transitions=transitions)
    return {
        "delta_psnr": delta_psnr(drawn, held_out, clips),
        "action_f1": action_f1(drawn, probe, held_out, clips, keys),
        "equivalent": equivalent_figures(drawn, held_out, clips, keys),
    }


# ---------------------------------------------------------------------- true or random actions


def delta_psnr(drawn: Drawn, held_out: SplitReader, clips: int, steps: int = STEPS) -> dict:
    """The estimate, in dB, with PSNR under the true and under random actions, and that of copying
    the first frame, which needs no action; {"omitted": why} where no episode is so long.

    The true ones are also those of the recording that the frames are compared with; both dreams
    draw the same noise.
    """
    model, options, generator = drawn
    places = _long_clips(held_out, clips, steps, generator)
    if not places:
        return {"omitted": f"no held-out episode has {steps} steps"}
    true, random, copied = [], [], []
    for start in progress(range(0, len(places), BATCH), desc="control"):
        part = places[start : start + BATCH]
        shape = (len(part), steps)
        chosen = torch.from_numpy(model.spec.actions.draw_encoded(generator, shape))
        ours = rollouts(model, held_out, part, steps, options)
        other = rollouts(model, held_out, part, steps, options, chosen)
        target = ours.real_frames[:, -1]
        true.append(metrics.psnr(ours.frames[:, -1], target))
        random.append(metrics.psnr(other.frames[:, -1], target))
        copied.append(metrics.psnr(ours.real_frames[:, 0], target))
    psnr, random_psnr, copy = (torch.cat(rows).numpy() for rows in (true, random, copied))
    return {
        **mean_estimate(psnr - random_psnr, generator),
        "steps": steps,
        "true_actions": mean_estimate(psnr, generator),
        "random_actions": mean_estimate(random_psnr, generator),
        "copy_first_frame": mean_estimate(copy, generator),
    }


def _long_clips(
    held_out: SplitReader, clips: int, steps: int, generator: np.random.Generator
) -> list[Place]:
    """At most so many places with `steps` steps after them, in order of reading."""
    places = held_out.transitions(len(held_out), generator)
    lengths = dict(zip(held_out.episodes.tolist(), held_out.lengths.tolist(), strict=True))
    long = [place for place in places if place.step + steps <= lengths[place.episode]]
    chosen = generator.choice(len(long), min(clips, len(long)), replace=False) if long else []
    return [long[number] for number in np.sort(chosen)]


# ---------------------------------------------------------------------- inverse dynamics


def action_f1(
    drawn: Drawn,
    probe: Callable[[Tensor, Tensor], Tensor],
    held_out: SplitReader,
    clips: int,
    keys: EquivalentKeys | None = None,
) -> dict:
    """{"value", "interval", "samples", "real", "copied", "actions"}, `probe` being an `ActionProbe`
    or what gives logits like it: the mean F1 over the actions
    that the probe recognizes in frames dreamed with random actions; the same of real next frames
    and of the last frame, copied; and for each action the F1 of dream and of recording.

    Equivalent keys count as the plainest of them, for no frame tells them apart.
    """
    model, options, generator = drawn
    by_class, rows = ActionClasses(model.spec), []
    names = by_class.names
    places = held_out.transitions(clips, generator)
    for start in range(0, len(places), BATCH):
        window = held_out.window(places[start : start + BATCH])
        past, last = window.context.frames, window.context.frames[:, -1]
        action = torch.from_numpy(model.spec.actions.draw_encoded(generator, (len(last),)))
        dream = _step(drawn, model.init(to_model(window.context, model)), action, start)
        effects = _effects(last, keys, len(names))
        recorded, action = by_class.of(window.actions[:, 0]), by_class.of(action)
        found = [probe(past, f).argmax(1) for f in (dream.frame, window.frames[:, 1], last)]
        rows.append((_pick(effects, action), _pick(effects, recorded), *found))
    given, recorded, dreamed, real, copied = (
        torch.cat(column) for column in zip(*rows, strict=True)
    )
    classes = [int(number) for number in torch.cat([given, recorded]).unique()]
    return {
        **_mean_f1(dreamed, given, classes, generator),
        "real": _mean_f1(real, recorded, classes, generator),
        "copied": _mean_f1(copied, given, classes, generator),
        "actions": {
            names[number]: {
                "f1": metrics.class_score(dreamed == number, given == number).f1,
                "samples": int((given == number).sum()),
                "real_f1": metrics.class_score(real == number, recorded == number).f1,
                "real_samples": int((recorded == number).sum()),
            }
            for number in classes
        },
    }


def _pick(effects: Tensor, action: Tensor) -> Tensor:
    return effects.gather(1, action[:, None])[:, 0]


def _effects(frames: Tensor, keys: EquivalentKeys | None, actions: int) -> Tensor:
    """(N, A): the key that stands for each key in the states that frames (N, H, W, C) show."""
    if keys is None:
        return torch.arange(actions).expand(len(frames), -1)
    return torch.from_numpy(keys(frames.numpy()))


def _mean_f1(
    found: Tensor, action: Tensor, classes: list[int], generator: np.random.Generator
) -> dict:
    """The estimate of the mean F1 over those of `classes` that occur; its interval by resampling
    the transitions.
    """
    one_found = found.numpy()[:, None] == np.array(classes)  # (N, classes)
    one_action = action.numpy()[:, None] == np.array(classes)

    def mean_f1(rows: np.ndarray) -> np.ndarray:
        hits = (one_found & one_action)[rows].sum(-2)
        both = one_found[rows].sum(-2) + one_action[rows].sum(-2)
        support = one_action[rows].any(-2)
        f1 = np.where(support, 2 * hits / np.maximum(both, 1), 0).sum(-1)
        return f1 / np.maximum(support.sum(-1), 1)

    everything = np.arange(len(found))[None]
    interval = bootstrap_interval(mean_f1, len(found), generator)
    return estimate(float(mean_f1(everything)[0]), interval, len(found))


# ---------------------------------------------------------------------- keys that do the same


def equivalent_figures(
    drawn: Drawn, held_out: SplitReader, clips: int, keys: EquivalentKeys | None
) -> dict:
    """{"same_frame", "same_outcome", "psnr", "other_keys_same_frame"}: two keys that the game
    treats alike, pressed in the same state with the same noise: the share of equal frames and of
    equal rewards and terminations, the PSNR of the one to the other in dB, and for comparison the
    share of equal frames under two keys of different effect. {"omitted": why} without such keys.
    """
    if keys is None:
        return {"omitted": "the row of this world names no keys that its game treats alike"}
    model, _, generator = drawn
    contexts, pairs, others = _key_pairs(held_out, clips, keys, generator)
    if not len(pairs):
        return {"omitted": "in no held-out state are two keys alike"}
    rows = []
    for start in range(0, len(pairs), BATCH):
        part = slice(start, start + BATCH)
        window = held_out.window(contexts[part])
        state = model.init(to_model(window.context, model))
        plain, twin, other = (
            _step(drawn, state, torch.from_numpy(action[part]), start)
            for action in (pairs[:, 0], pairs[:, 1], others)
        )
        rows.append(
            (
                _alike(plain.frame, twin.frame),
                (plain.reward == twin.reward) & (plain.termination == twin.termination),
                metrics.psnr(twin.frame, plain.frame),
                _alike(plain.frame, other.frame),
            )
        )
    names = ("same_frame", "same_outcome", "psnr", "other_keys_same_frame")
    columns = [torch.cat(column).double().numpy() for column in zip(*rows, strict=True)]
    return {
        name: (mean_estimate if name == "psnr" else share_estimate)(values, generator)
        for name, values in zip(names, columns, strict=True)
    }


def _alike(first: Tensor, second: Tensor) -> Tensor:
    """(N,) bool: whether no pixel differs by more than `ALIKE`."""
    return (first.int() - second.int()).abs().flatten(1).amax(1) <= ALIKE


def _key_pairs(
    held_out: SplitReader, clips: int, keys: EquivalentKeys, generator: np.random.Generator
) -> tuple[list[Place], np.ndarray, np.ndarray]:
    """(places, (N, 2) keys of the same effect there, (N,) keys of another effect), N at most
    `clips`: one pair by chance in each of the states that have one, among `FEW` states per clip,
    or `MANY` where those are too few, as in Pong, whose paddles are seldom at the edge.
    """
    found: dict[Place, tuple[tuple[int, int], int]] = {}
    for per_clip in (FEW, MANY):
        if len(found) < clips:
            places = held_out.transitions(per_clip * clips, generator)
            for start in range(0, len(places), BATCH):
                found |= _pairs_at(held_out, places[start : start + BATCH], keys, generator)
    chosen = np.sort(generator.permutation(len(found))[:clips])
    met = list(found.items())
    kept = [met[number] for number in chosen]
    pairs = np.array([pair for _, (pair, _) in kept], np.int64).reshape(-1, 2)
    return [place for place, _ in kept], pairs, np.array([o for _, (_, o) in kept], np.int64)


def _pairs_at(
    held_out: SplitReader, places: list[Place], keys: EquivalentKeys, generator: np.random.Generator
) -> dict[Place, tuple[tuple[int, int], int]]:
    """Two keys of the same effect, and one of another, at each of the places that has such."""
    found = {}
    frames = held_out.window(places).frames[:, 0].numpy()
    for place, row in zip(places, keys(frames), strict=True):
        twins = np.flatnonzero(row != np.arange(len(row)))
        if len(twins):
            twin = int(generator.choice(twins))
            different = np.flatnonzero(row != row[twin])
            found[place] = (int(row[twin]), twin), int(generator.choice(different))
    return found


@torch.inference_mode()
def _step(drawn: Drawn, state: State, action: Tensor, first: int) -> Transition:
    """One step of every lane, the noise that of lanes number `first` and so on."""
    model = drawn.model
    noise = to_model(NoiseStream.from_seeds(torch.arange(len(action)) + first + SEED), model)
    return on_cpu(model.step(state, action.to(device_of(model)), noise, drawn.options))
