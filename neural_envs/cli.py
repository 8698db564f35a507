"""The command `neural-envs VERB ...`: a table of verbs, each a function from words to an exit code.

`collectors` and `agents` are common names, so the table checks that the package it found is this
project's.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.metadata import packages_distributions
from typing import TYPE_CHECKING

from collectors.extras import install
from collectors.interrupts import interrupted, interruptible
from collectors.progress import starting
from collectors.settings.run_command import explained, fail
from collectors.size_limits import ALLOW_LARGE_SWITCH, limits_lifted
from collectors.worlds.table import unknown

if TYPE_CHECKING:
    from neural_envs.play.session import Policy

PROG = "neural-envs"

VERBS = {
    "collect": ("agents.ppo.player:main", "play a real game and record a dataset"),
    "record": (
        "neural_envs.commands.record:main",
        "play a real game yourself and record a dataset",
    ),
    "stats": ("collectors.dataset.stats:main", "describe a dataset: table and contact sheet"),
    "export": (
        "collectors.interchange.export_command:main",
        "write a dataset as a Minari set, as tables of images, or onto the Hub",
    ),
    "import": (
        "collectors.interchange.import_command:main",
        "read films, tables of images, or a Minari set as a dataset",
    ),
    "train": ("neural_envs.commands.train:main", "train a world model on a dataset"),
    "evaluate": (
        "agents.evaluation.evaluate:main",
        "measure a bundle against the real game",
    ),
    "dream": (
        "agents.experiments.dream:main",
        "make a dream of any game by one command: record, train, measure, play",
    ),
    "release": (
        "agents.experiments.release:main",
        "make a released bundle from scratch: collect, train, evaluate, card",
    ),
    "migrate": ("neural_envs.commands.migrate:main", "write a bundle in the newest format"),
    "push": ("neural_envs.commands.push:main", "put a bundle on the Hugging Face Hub"),
    "play": ("neural_envs.commands.play:main", "play a dream, alone or beside the real game"),
    "serve": (
        "neural_envs.web.server:main",
        "play dreams on a page in the browser, alone or with others",
    ),
    "export-web": (
        "neural_envs.web_export.command:main",
        "write dreams as a page for any static host, without a server",
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
    "ppo": ("agents.ppo.command:main", "train an agent with PPO in a dream or in the real game"),
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


WITH_AGENTS = ("play", "serve", "video", "export-web")  # verbs that are handed `trained_agent`


def main(argv: list[str] | None = None) -> int:
    """Run one verb; returns its exit code.

    2 is a wrong command line, 1 a command that could not do its work, 130 Ctrl-C, 143 SIGTERM.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if ALLOW_LARGE_SWITCH in argv:
        argv = [word for word in argv if word != ALLOW_LARGE_SWITCH]
        with limits_lifted():
            return main(argv)
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        from neural_envs import __version__

        print(f"neural-envs {__version__}")
        return 0
    verb, *rest = argv
    if verb not in VERBS:
        return fail(PROG, unknown("verb", verb, VERBS), 2)
    try:
        return _run(verb, rest)
    except BrokenPipeError:
        # The reader of a pipe (head, less) has gone: drop what is left to print.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt as error:
        stop = interrupted(error)
        return fail(f"{PROG} {verb}", str(stop), stop.code)
    except Exception as error:
        text = explained(error, VERBS[verb][0].split(".")[0])
        if text is None:
            raise
        return fail(f"{PROG} {verb}", text)


def _run(verb: str, words: list[str]) -> int:
    """Runs a verb that there is, and prints all that it wrote."""
    module, function = VERBS[verb][0].split(":")
    if reason := foreign(module.split(".")[0]):
        return fail(PROG, reason)
    handed = (trained_agent,) if verb in WITH_AGENTS else ()
    try:
        with interruptible():
            with starting(f"{PROG} {verb}: starting ..."):  # torch takes seconds to import
                main_of = getattr(importlib.import_module(module), function)
            return main_of(words, *handed)
    finally:
        sys.stdout.flush()  # after --help too: at its end the interpreter would complain


def trained_agent(file: str, actions: int, world: str) -> Policy:
    """The agent of a policy file; `agents`, and what learns in it, is imported only for one.

    Raises what `agents.ppo.player.AgentPolicy` does, ImportError where `agents` is not ours.
    """
    if reason := foreign("agents"):
        raise ImportError(reason)
    return importlib.import_module("agents.ppo.player").AgentPolicy(file, actions, world)


def foreign(package: str) -> str:
    """Whose the top-level package of this name is and what to do, as a sentence; "" for ours."""
    try:
        found = importlib.import_module(package)
        if getattr(found, "__neural_envs__", False):
            return ""
        incomplete = not (found.__spec__ and found.__spec__.has_location)  # without __init__.py
    except ModuleNotFoundError as error:
        incomplete = error.name == package
    except Exception:  # somebody else's package that cannot even be imported
        incomplete = False
    owners = [name for name in packages_distributions().get(package, []) if name != "neural-envs"]
    if owners:  # its files may lie over ours, so uninstalling it does not bring ours back
        owner = f"the distribution '{owners[0]}'"
        remedy = f"pip uninstall -y {owners[0]}, then {install()}"
    elif incomplete:
        return f"files of the package '{package}' are missing; bring them back: {install()}"
    else:
        owner = f"another '{package}' first on the Python path"
        remedy = "start from another directory"
    return (
        f"the name '{package}' belongs to {owner}, which hides this project's package; "
        f"{remedy}, or install neural-envs in a virtual environment of its own"
    )


def _help() -> str:
    lines = [f"  {verb:11} {text}" for verb, (_, text) in VERBS.items()]
    return "\n".join(
        [
            "usage: neural-envs VERB [settings]",
            "",
            *lines,
            "",
            "neural-envs VERB --help lists a verb's settings.",
            f"{ALLOW_LARGE_SWITCH}, with any verb, lets in files beyond the limits of sizes that "
            "docs/security.md lists.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
