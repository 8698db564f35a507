"""`neural-envs collect WORLD`: plays a real game and writes the dataset that `train WORLD` wants.
Or any other Gymnasium game: `neural-envs collect --env ALE/Pong-v5`.

Shard k plays its own episodes from seeds made of (seed, k), so what is written does not depend on
the number of workers, and a collection that was killed goes on to the result it would have had.
"""

import contextlib
import errno
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium

from collectors.action_space import ActionSpace
from collectors.dataset.dataset import (
    Dataset,
    DatasetError,
    DatasetWriter,
    dataset_name,
    read_manifest,
    sha256_of,
)
from collectors.locks import LOCK_FILE, holds_files, locked
from collectors.policies.policies import (
    POLICY_FILE,
    AgentMaker,
    Policy,
    make_policy,
)
from collectors.progress import duration, note, progress
from collectors.recording import presets
from collectors.recording.collect_settings import CollectSettings, settings_of
from collectors.recording.named_game import game_header, named_game
from collectors.recording.speed import expected_seconds
from collectors.recording.worker_pool import WorkerDied
from collectors.recording.workers import ShardTask, run_tasks
from collectors.settings.run_command import command, first_word, option
from collectors.worlds.registration import (
    collect_options,
    unknown_option,
)
from collectors.worlds.table import WORLDS

# what a collector leaves that was killed before its first manifest had its name
BEGUN = {LOCK_FILE, "episodes.csv", ".episodes.partial.csv", ".manifest.partial.json"}
# settings of the command that are those of `collect`
HOW = ("workers", "seed", "shard_steps", "resume", "lanes", "ray", "compress")


def collect(
    env_id: str,
    out: str | Path,
    frames: int,
    policy: str | Policy = "mix",
    env_options: dict | None = None,
    report: Callable[[int], object] = lambda steps: None,
    expect: Callable[[float], object] | None = None,
    **settings: Any,
) -> Dataset:
    """Collect at least `frames` steps of `env_id` into the directory `out` and open it.

    `policy` is a name for `make_policy` or a policy object (picklable where workers > 1), of which
    the dataset keeps the name. `report` is called with the number of steps after each shard,
    `expect` before the first with the seconds that all will take, about. `settings` are those of
    `CollectSettings` about how it is done: seed and shard_steps, which decide the data, workers (1
    if not given), lanes, ray and compress, which do not, and resume. Games are played in `lanes` at
    once where the game or the policy is faster so. With more than one worker, a script that calls
    this must guard its main part with `if __name__ == "__main__"`.

    Raises ValueError for settings out of their range, LockError where another process writes `out`,
    and DatasetError where `out` holds a dataset and `resume` is False, or one that was collected
    with other settings (`frames` may grow), and when the disk is full or a worker is killed: what
    was finished is kept.
    """
    how = CollectSettings(env_id, frames=frames, **{"workers": 1, **settings})
    decided = {"seed": how.seed, "shard_steps": how.shard_steps}
    header = _header(env_id, env_options or {}, policy, decided)
    quotas = [min(how.shard_steps, frames - start) for start in range(0, frames, how.shard_steps)]
    world = WORLDS.get(header["spec"]["world"])
    fixed = (str(out), header["env_spec"], world, policy, how.seed)
    tasks = [ShardTask(*fixed, *shard, how.lanes, how.compress) for shard in enumerate(quotas)]
    with _loss_explained(out, how.resume), locked(out):
        _check_directory(Path(out), header, how.resume)
        writer = DatasetWriter(out, header)
        missing = _missing_shards(writer, quotas)
        report(sum(e["steps"] for index, e in writer.shards.items() if index not in missing))
        left = [tasks[index] for index in missing]
        if expect and left and not how.ray:
            expect(expected_seconds(left, how.workers))
        _play(left, how, writer, report)
    return Dataset(out)


def _play(
    tasks: list[ShardTask],
    how: CollectSettings,
    writer: DatasetWriter,
    report: Callable[[int], object],
) -> None:
    """Plays shards and adds each to the dataset when it is finished."""
    played = run_tasks(tasks, how.workers, how.ray)
    with contextlib.closing(played):  # its workers end before the lock is given back
        for written in played:
            writer.add(written)
            report(written.entry["steps"])


def _header(env_id: str, options: dict, policy: str | Policy, decided: dict) -> dict[str, Any]:
    """What the manifest says of all that decides the data. Raises DatasetError, PolicyError."""
    with gymnasium.make(env_id, **{**collect_options(env_id), **options}) as env:
        header = game_header(env)
    spec = header["spec"]
    actions = ActionSpace.of_spec(spec).for_policies
    given = policy if isinstance(policy, str) else ""
    # an error of the name here, not in a worker
    player = make_policy(given, actions, WORLDS.get(spec["world"])) if given else policy
    assert isinstance(player, Policy)
    mixture = player.mixture()
    name = given or (mixture[0][0] if len(mixture) == 1 else "mixture")
    preset = presets.matching(env_id, options, given, **decided)
    return {**header, "policy": name, "mixture": mixture, **decided, "preset": preset}


@contextlib.contextmanager
def _loss_explained(out: str | Path, resume: bool):
    """What resumes already, as `dream` and the rounds of `dyna` do, goes on by the same command."""
    remedy = "the same command goes on" if resume else "`--resume` goes on"
    try:
        yield
    except WorkerDied as error:
        raise DatasetError(f"a worker was killed; {remedy} from the shards in {out}") from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DatasetError(
            f"the disk of {out} is full; make room, then {remedy} from its shards"
        ) from error


def _check_directory(path: Path, header: dict, resume: bool) -> None:
    """Refuses a directory that holds something else."""
    if not holds_files(path):
        return
    files = {file.name for file in path.iterdir()}
    begun = files <= BEGUN | {"manifest.json"}  # also where a game broke before its first shard
    if "manifest.json" not in files or (begun and not read_manifest(path)["shards"]):
        if begun:
            return
        raise DatasetError(f"{path} is not empty and not a dataset; choose another directory")
    manifest = read_manifest(path)
    if not header["spec"]["reward_values"]:  # they are found while collecting
        manifest["spec"]["reward_values"] = []
    if len(header["mixture"]) == 1:  # of one policy the name says all, and older versions wrote it
        manifest.setdefault("mixture", header["mixture"])
    manifest, expected = _deciding(manifest), _deciding(header)
    other = [key for key, value in expected.items() if manifest.get(key) != value]
    if other == ["mixture"]:
        raise DatasetError(
            f"{path} was recorded with another mixture of policies; choose another --out, or the "
            "--policy that it was recorded with"
        )
    if other:
        raise DatasetError(
            f"{path} was collected with another {', '.join(other)}; choose another directory"
        )
    if not resume:
        raise DatasetError(
            f"{path} already holds a dataset; go on with --resume or choose another directory"
        )


def _deciding(header: dict) -> dict:
    """A header with what decides the data: of its EnvSpec not where in the code the game stands,
    and not the name of the recording, which follows from the rest.
    """
    spec = json.loads(header["env_spec"])
    kept = {key: spec[key] for key in ("id", "max_episode_steps", "kwargs", "additional_wrappers")}
    return {**{key: value for key, value in header.items() if key != "preset"}, "env_spec": kept}


def _missing_shards(writer: DatasetWriter, quotas: list[int]) -> list[int]:
    """Shards still to play.

    One that lacks a file, or was cut short for a smaller `frames`, is played anew.
    """
    if any(
        index >= len(quotas) or entry["quota"] > quotas[index]
        for index, entry in writer.shards.items()
    ):
        raise DatasetError(
            f"{writer.path} already holds more frames than asked for; ask for at least as many"
        )
    for index, entry in list(writer.shards.items()):
        if not _has_its_files(writer.path, entry):
            writer.remove(index)
    kept = {index for index, entry in writer.shards.items() if entry["quota"] == quotas[index]}
    return [index for index in range(len(quotas)) if index not in kept]


def _has_its_files(path: Path, entry: dict) -> bool:
    """Whether all files of a shard are there with their sizes."""
    sizes = {
        name: (path / name).stat().st_size for name in entry["files"] if (path / name).is_file()
    }
    return sizes == {name: file["bytes"] for name, file in entry["files"].items()}


def recorded_steps(path: str | Path) -> int:
    """How many steps a dataset holds; 0 where there is none yet."""
    if not (Path(path) / "manifest.json").is_file():
        return 0
    return sum(entry["steps"] for entry in read_manifest(Path(path))["shards"])


def asked_frames(path: str | Path) -> int:
    """How many steps a dataset was asked for, as far as it is recorded; 0 where there is none."""
    if not (Path(path) / "manifest.json").is_file():
        return 0
    return sum(entry["quota"] for entry in read_manifest(Path(path))["shards"])


def damaged_shards(path: str | Path) -> list[int]:
    """The shards of a dataset that lack a file, or have one of another size or sha256. None where
    there is no dataset yet.
    """
    path = Path(path)
    if not (path / "manifest.json").is_file():
        return []
    entries = read_manifest(path)["shards"]
    return [
        entry["index"]
        for entry in entries
        if not _has_its_files(path, entry)
        or any(sha256_of(path / name) != file["sha256"] for name, file in entry["files"].items())
    ]


def run(settings: CollectSettings, agents: AgentMaker | None = None) -> str:
    """Record what the settings ask for; return a line about it. `agents` makes a player of the
    file of a trained agent.

    Raises DatasetError, PolicyError and Gymnasium's errors.
    """
    name = settings.world or settings.env
    out = settings.out or f"data/{dataset_name(name)}"
    game = named_game(settings.world, settings.env, settings.options)
    before = recorded_steps(out) if settings.resume else 0
    again = f", going on from {before}" if before else ""
    note(f"collecting {name}: {settings.frames} steps by {settings.policy}, into {out}{again}")
    with progress(total=settings.frames, desc="collect", unit="step") as bar:
        dataset = _collected(settings, game, out, agents, bar.update)
    done = "nothing was left to do; " if dataset.steps == before else ""
    return (
        f"{done}{out}: {dataset.steps} steps, {len(dataset.episodes)} episodes, fingerprint "
        f"{dataset.fingerprint[:16]}"
    )


def _collected(
    settings: CollectSettings,
    game: tuple[str, dict[str, Any]],
    out: str,
    agents: AgentMaker | None,
    report: Callable[[int], object],
) -> Dataset:
    """The dataset that the settings ask for, in `out`, of a game by its id and options. Raises what
    `run` does.
    """
    env_id, options = game
    try:
        return collect(
            env_id,
            out,
            settings.frames,
            _player(settings.policy, env_id, options, agents),
            options,
            report,
            lambda seconds: note(f"this takes about {duration(max(1, seconds))}"),
            **{name: getattr(settings, name) for name in HOW},
        )
    except TypeError as error:  # an option that the game's constructor does not know
        reason = unknown_option(env_id, options) or error
        name = settings.world or settings.env
        raise DatasetError(f"{name} cannot be made: {reason}") from error


def _player(name: str, env_id: str, options: dict, agents: AgentMaker | None) -> str | Policy:
    """The policy's name, or where a trained agent is in it the policy itself."""
    if POLICY_FILE not in name:
        return name
    with gymnasium.make(env_id, **{**collect_options(env_id), **options}) as env:
        game: Any = env.unwrapped
        spec = game.world_spec()
    actions = ActionSpace.of_spec(spec).for_policies
    return make_policy(name, actions, WORLDS.get(spec["world"]), agents)


def main(argv: list[str] | None = None, agents: AgentMaker | None = None) -> int:
    """Run the command; return its exit code. `agents`: see `run`."""

    def defaults(words: Sequence[str]) -> CollectSettings | type[CollectSettings]:
        name = first_word(words) or option(words, "world")
        return settings_of(name) if name else CollectSettings

    return command(
        defaults,
        lambda settings: run(settings, agents),
        argv,
        "neural-envs collect",
        ("world",),
    )


if __name__ == "__main__":
    raise SystemExit(main())
