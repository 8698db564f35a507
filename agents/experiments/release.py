"""`neural-envs release NAME`: a released bundle from scratch, by its preset alone: collect, train,
evaluate, model card.

Every step is done once and goes on where it stopped: the same command again. The bundle in
OUT/bundle says in its config and its card which data, command, code, time and machine it is of.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agents.evaluation.evaluate import EvaluateConfig, evaluate_bundle
from agents.evaluation.how_made import how_made
from agents.experiments.stages import Stages, settings_of, write_json
from collectors.dataset.dataset import Dataset
from collectors.locks import locked
from collectors.progress import progress
from collectors.recording.collect import collect
from collectors.recording.presets import Recording, recordings
from collectors.settings.parse import check_settings, setting
from collectors.settings.run_command import command
from collectors.worlds.table import WORLDS
from neural_envs.bundles import load_model
from world_models.bundles.bundle import update_provenance
from world_models.bundles.shared_contexts import copy_bundle, share_contexts
from world_models.evaluation.evaluation import EvaluationOptions
from world_models.training.config import TrainConfig
from world_models.training.presets.table import find_preset
from world_models.training.run import train
from world_models.training.run_info import machine_text

FREE = ("out", "workers", "threads", "to")  # settings that do not decide the bundle


@dataclass(frozen=True)
class ReleaseConfig:
    """Make a bundle from scratch by its preset: collect, train, evaluate, card."""

    name: str = setting("snake", "preset of the training run; a world's name is its default")
    out: str = setting("", "folder of the run; release/NAME if empty")
    data: str = setting("data", "folder of the datasets; that of the preset is collected in it")
    to: str = setting("", "folder of bundles to put the finished one into, as neural_envs/bundles")
    workers: int = setting(2, "processes that collect", least=1)
    threads: int = setting(0, "CPU threads of the training; 0: torch's choice", least=0)
    frames: int = setting(0, "steps to collect, for a trial; 0: the recording's own", least=0)
    updates: int = setting(0, "updates to train, for a trial; 0: the preset's own", least=0)
    ranking: bool = setting(True, "rank policies in the dream and in the real game")
    evaluation: EvaluationOptions = field(default_factory=EvaluationOptions)

    def __post_init__(self) -> None:
        check_settings(self)


def release(config: ReleaseConfig) -> Path:
    """Makes what is missing of a release; returns the bundle's directory.

    Raises UnknownNameError for an unknown preset, ValueError for one without a recording,
    StageError where the folder holds a run of other settings, and what collecting, training and
    measuring raise.
    """
    preset, recording = _parts(config)
    out = Path(config.out or f"release/{config.name}")
    data = Path(config.data) / recording.name
    with locked(out):
        stages = Stages(out, settings_of(config, FREE))
        frames = config.frames or recording.frames
        collected = stages.run(
            "collect",
            lambda: _collect(recording, data, frames, config.workers),
            product=data / "manifest.json",
        )
        preset = replace(preset, data=data, out=out / "run", threads=config.threads)
        preset = replace(preset, updates=config.updates or preset.updates)
        trained = stages.run("train", lambda: _train(preset), product=out / "run" / "bundle")
        made = {**collected, **trained}
        stages.run(
            "evaluate",
            lambda: _evaluate(config, recording, data, out, made),
            product=out / "bundle" / "config.json",
        )
    if config.to:
        target = Path(config.to) / config.name
        target.mkdir(parents=True, exist_ok=True)
        copy_bundle(out / "bundle", target)
        share_contexts(target.parent)
    return out / "bundle"


def _parts(config: ReleaseConfig) -> tuple[TrainConfig, Recording]:
    """The preset, and the recording that it trains on."""
    preset, known = find_preset(config.name), recordings()
    if preset.data.name not in known:
        raise ValueError(
            f"the preset {config.name} trains on data of your own; a release needs one of the "
            f"recordings {', '.join(known)}"
        )
    return preset, known[preset.data.name]


def _collect(recording: Recording, data: Path, frames: int, workers: int) -> dict[str, Any]:
    """Records what is missing of the dataset; what a bundle says of its data."""
    how: dict[str, Any] = {
        "seed": recording.seed,
        "shard_steps": recording.shard_steps,
        "workers": workers,
    }
    env_id = WORLDS[recording.world].real_id
    with progress(total=frames, desc="collect", unit="step") as bar:
        dataset = collect(
            env_id,
            data,
            frames,
            recording.policy,
            {**recording.options},
            bar.update,
            resume=True,
            **how,
        )
    return {
        "collect": f"neural-envs collect {recording.name} --frames {frames}",
        "dataset": dataset.fingerprint,
    }


def _train(preset: TrainConfig) -> dict[str, Any]:
    """Trains to the end; how long it took, over all its starts, and with which code."""
    train(preset, load_model)
    rows = (preset.out / "metrics.jsonl").read_text().splitlines()
    starts = json.loads((preset.out / "run.json").read_text())["starts"]
    commits = list(dict.fromkeys(str(start["git_commit"]) for start in starts))
    return {
        "minutes": round(json.loads(rows[-1])["seconds"] / 60, 1),
        "commit": ", ".join(commits),
    }


def _evaluate(
    config: ReleaseConfig, recording: Recording, data: Path, out: Path, made: dict[str, Any]
) -> dict[str, Any]:
    """Measures a copy of the trained bundle, and writes figures and provenance into it."""
    if Dataset(data).fingerprint != made["dataset"]:
        raise ValueError(f"{data} is not the dataset that was trained on; choose another out")
    bundle = out / "bundle"
    bundle.mkdir(exist_ok=True)
    copy_bundle(out / "run" / "bundle", bundle)
    facts = {name: made[name] for name in ("collect", "minutes", "commit")}
    how = how_made("release", config, ReleaseConfig, ("name",))
    facts |= {"preset": config.name, "command": how["command"], "date": how["date"]}
    update_provenance(bundle, {**facts, "machine": machine_text()})
    report = evaluate_bundle(
        EvaluateConfig(
            **vars(config.evaluation),
            bundle=str(bundle),
            data=str(data),
            out=str(out / "evaluation"),
            real_options=_held_out(recording),
            ranking=config.ranking,
            update_card=True,
        )
    )
    write_json(out / "release.json", {**made, "scores": report.scores, "made": how})
    return {"scores": report.scores}


def _held_out(recording: Recording) -> tuple[str, ...]:
    """The options of the real game that policies are ranked in: the recording's, but on the levels
    and regions that it keeps for the test.
    """
    options = {**WORLDS[recording.world].collect_options, **recording.options}
    options.pop("num_levels", None)  # of training
    kept = {name: "test" if value == "split" else value for name, value in options.items()}
    return recording._replace(options=kept).words()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return command(
        ReleaseConfig,
        lambda config: f"bundle: {release(config)}",
        argv,
        "neural-envs release",
        ("name",),
    )


if __name__ == "__main__":
    raise SystemExit(main())
