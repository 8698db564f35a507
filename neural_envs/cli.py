"""The command `neural-envs VERB ...`: a table of verbs, each a module with `main(argv) -> exit
code`.

`collectors` and `agents` are common names, so the table checks that the package it found is this
project's.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from importlib.metadata import packages_distributions
from typing import NamedTuple

from collectors.settings.command import explained

VERBS = {
    "collect": ("collectors.recording.collect:main", "play a real game and record a dataset"),
    "stats": ("collectors.dataset.stats:main", "describe a dataset: table and contact sheet"),
    "export": ("collectors.dataset.minari:export_main", "write a dataset as a Minari set"),
    "import": ("collectors.dataset.minari:import_main", "read a Minari set as a dataset"),
    "train": ("world_models.training.run:main", "train a world model on a dataset"),
    "evaluate": (
        "agents.evaluation.evaluate:main",
        "measure a bundle against the real game",
    ),
    "migrate": ("neural_envs.commands.migrate:main", "write a bundle in the newest format"),
    "push": ("neural_envs.commands.push:main", "put a bundle on the Hugging Face Hub"),
    "play": ("neural_envs.commands.play:main", "play a dream, alone or beside the real game"),
    "serve": (
        "neural_envs.web.server:main",
        "play dreams on a page in the browser, alone or with others",
    ),
    "action-grid": (
        "neural_envs.commands.action_grid:main",
        "film what a dream makes of each action from the same start",
    ),
    "replay": ("neural_envs.commands.replay:main", "dream a .dream file again, frame for frame"),
    "video": (
        "neural_envs.commands.video:main",
        "write a film or a strip of a bundle, a .dream file or a recorded episode",
    ),
    "report": (
        "agents.report:main",
        "one page about a bundle: scorecard, curves, films, calibration, provenance",
    ),
    "ppo": ("agents.ppo.train:main", "train an agent with PPO in a dream or in the real game"),
    "transfer": (
        "agents.experiments.transfer:main",
        "compare dream-trained with real-trained agents in the real game",
    ),
    "dyna": (
        "agents.experiments.dyna:main",
        "play, train the dream, learn in it, measure in the real game; round after round",
    ),
    "trust": (
        "agents.experiments.trust:main",
        "train PPO in a dream of too little data, with and without min_trust",
    ),
    "plan": (
        "agents.experiments.plan:main",
        "play Snake by looking ahead in a model, beside A*",
    ),
    "bench": ("agents.benchmarks.bench:main", "measure the speed of every released bundle"),
    "compare": (
        "agents.experiments.compare:main",
        "train the model families at equal wall-clock and compare them",
    ),
    "demo": (
        "agents.experiments.demo:main",
        "a tour: a dreamed game, a short training, a small table",
    ),
}


class Failure(NamedTuple):
    """A sentence for the user and the exit code that goes with it."""

    message: str
    code: int


def main(argv: list[str] | None = None) -> int:
    """Run one verb; returns its exit code.

    2 is a wrong command line, 1 a command that could not do its work.
    """
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        from neural_envs import __version__

        print(f"neural-envs {__version__}")
        return 0
    verb, *rest = argv
    if verb not in VERBS:
        return _fail(Failure(_unknown(verb), 2))
    try:
        module, function = VERBS[verb][0].split(":")
        failure = foreign(module.split(".")[0])
        if failure:
            return _fail(failure)
        code = getattr(importlib.import_module(module), function)(rest)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader of a pipe (head, less) has gone: drop what is left to print.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return _fail(Failure(f"{verb}: interrupted", 130))
    except Exception as error:
        text = explained(error)
        if text is None:
            raise
        return _fail(Failure(f"{verb}: {text}", 1))


def foreign(package: str) -> Failure | None:
    """None where the top-level package of this name is ours, else whose it is and what to do."""
    try:
        found = importlib.import_module(package)
        if getattr(found, "__neural_envs__", False):
            return None
    except ModuleNotFoundError as error:
        if error.name == package:
            return Failure(
                f"the package '{package}' is missing: reinstall with pip install --force-reinstall "
                "neural-envs",
                1,
            )
    except Exception:
        pass  # somebody else's package that cannot even be imported: named below
    owners = [name for name in packages_distributions().get(package, []) if name != "neural-envs"]
    owner = (
        f"the distribution '{owners[0]}'"
        if owners
        else f"another '{package}' first on the Python path"
    )
    remedy = f"pip uninstall {owners[0]}" if owners else "start from another directory"
    return Failure(
        f"the name '{package}' belongs to {owner}, which hides this project's package; "
        f"{remedy}, or install neural-envs in a virtual environment of its own",
        1,
    )


def _unknown(verb: str) -> str:
    near = difflib.get_close_matches(verb, VERBS, 1, 0.4)
    hint = f"; did you mean '{near[0]}'?" if near else f"; there are {', '.join(VERBS)}"
    return f"unknown verb '{verb}'{hint}"


def _fail(failure: Failure) -> int:
    print(f"neural-envs: {failure.message}", file=sys.stderr)
    return failure.code


def _help() -> str:
    lines = [f"  {verb:11} {text}" for verb, (_, text) in VERBS.items()]
    return "\n".join(
        [
            "usage: neural-envs VERB [settings]",
            "",
            *lines,
            "",
            "neural-envs VERB --help lists a verb's settings.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
