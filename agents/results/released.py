"""The figures of the released bundles: files as evaluate, transfer and bench write them.

`measured/BUNDLE/evaluation.json` and `transfer.json`, and `measured/bench.json`; `games.json` is a
second evaluation, whose figures are shown where the first has none, and `spread.json` a transfer
from several world models of the bundle's preset. They are part of the package,
so a report shows them without a recording. They are written by the commands with
`--out agents/results/measured/BUNDLE`; git takes nothing but the JSON from there.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from agents.envs import weights_fingerprint
from agents.results.figures import count_text
from neural_envs.bundles import released_names

FOLDER = Path(__file__).parent / "measured"
FEWEST_WRONG = 5  # frames that an AUROC of trust needs
SPREAD = "spread"  # the kind of a file that is of a preset, not of the bundle
KINDS = ("evaluation", "games", "transfer", SPREAD)
MADE = {"command", "commit", "date", "machine"}
MACHINE = {"processor", "vectors", "cores", "threads"}
OF_A_MACHINE = re.compile(r"^(/|~|\\\\|[A-Za-z]:\\|file:)")


class Source(NamedTuple):
    """A file of figures of one bundle."""

    name: str  # "snake/evaluation.json"
    figures: Mapping[str, Any]
    weights: str | list[str]  # sha256 of what was measured; of several world models each

    def is_of(self, weights: str) -> bool:
        """Whether these weights were measured, perhaps beside others, or a preset of any."""
        of_a_preset = self.name.endswith(f"/{SPREAD}.json")
        return of_a_preset or weights == self.weights or weights in list(self.weights)

    @property
    def made(self) -> Mapping[str, Any]:
        """Command, commit, date and machine."""
        return self.figures["made"]


def read_results(folder: Path = FOLDER) -> dict[str, list[Source]]:
    """The files of each bundle, the bench last.

    Raises ValueError with the remedy for a file that is damaged, that does not say how it was made,
    or that names a place on somebody's machine.
    """
    found: dict[str, list[Source]] = {}
    for bundle in sorted(path.name for path in folder.iterdir() if path.is_dir()):
        for kind in KINDS:
            file = folder / bundle / f"{kind}.json"
            if file.is_file():
                figures = with_trust_of_dreams(read_file(file))
                figures = _of_a_preset(figures) if kind == SPREAD else figures
                source = Source(f"{bundle}/{file.name}", figures, figures["weights"])
                found.setdefault(bundle, []).append(source)
    bench = folder / "bench.json"
    if bench.is_file():
        figures = read_file(bench)
        if not isinstance(figures["weights"], dict):
            raise ValueError(f"{bench.name} does not say which bundles were timed; measure again")
        for bundle, weights in figures["weights"].items():
            found.setdefault(bundle, []).append(Source(bench.name, figures, weights))
    return found


def results_of(bundle: str, folder: Path = FOLDER) -> list[Source]:
    """The files of one released bundle that are of the weights it has now."""
    if bundle not in released_names():
        return []
    weights = weights_fingerprint("", bundle)
    return [source for source in read_results(folder).get(bundle, []) if source.is_of(weights)]


def older_results_of(bundle: str, folder: Path = FOLDER) -> list[Source]:
    """The other files of one released bundle: of weights or a sampler from before."""
    present = [source.name for source in results_of(bundle, folder)]
    every = read_results(folder).get(bundle, []) if bundle in released_names() else []
    return [source for source in every if source.name not in present]


def read_file(file: Path) -> dict:
    """One file of figures. Raises ValueError as `read_results`."""
    name = f"{file.parent.name}/{file.name}"
    try:
        figures = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{name} is damaged ({error}); measure again") from None
    made = figures.get("made") if isinstance(figures, dict) else None
    machine = made.get("machine") if isinstance(made, dict) else None
    complete = isinstance(made, dict) and made.keys() >= MADE and "weights" in figures
    if not complete or not isinstance(machine, dict) or not machine.keys() >= MACHINE:
        raise ValueError(f"{name} does not say how it was made; measure again")
    places = [text for text in _texts(figures) if OF_A_MACHINE.match(text)]
    if places:
        remedy = "measure again with paths relative to the working tree"
        raise ValueError(f"{name} names a place on a machine, {places[0]!r}; {remedy}")
    return figures


def _of_a_preset(figures: dict) -> dict:
    """What a transfer from several world models says of a preset, all of it under `spread`: none of
    its dreams need be the released one.
    """
    kept = {name: figures.get(name) for name in ("transfer", "transfer_ci")}
    about = {name: figures[name] for name in ("made", "weights", "trained_on") if name in figures}
    return {**about, SPREAD: {**figures[SPREAD], **kept}}


def with_trust_of_dreams(figures: dict) -> dict:
    """With `trust.of_dreams`: AUROC and AURC of the trust that dreams give, which is calibrated
    where the evaluation found how (see `world_models.evaluation.trust_scores`). Of a few wrong
    frames there is no AUROC.
    """
    trust = figures.get("trust", {})
    kind = "_calibrated" if "auroc_calibrated" in trust else ""
    names = {"auroc": f"auroc{kind}", "aurc": f"aurc{kind}", "wrong": "wrong", "samples": "samples"}
    given = {name: trust[own] for name, own in names.items() if own in trust}
    parts = {**_auroc_of_enough(trust), "of_dreams": _auroc_of_enough(given)}
    if "by_motion" in trust:
        parts["by_motion"] = _auroc_of_enough(trust["by_motion"])
    return {**figures, "trust": parts} if trust else figures


def _auroc_of_enough(trust: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of trust, without an AUROC where hardly any frame is wrong."""
    wrong = trust.get("wrong", FEWEST_WRONG)
    if "auroc" not in trust or not 0 < wrong < FEWEST_WRONG:
        return {**trust}
    few = f"{count_text(trust['samples'])} frames hold {wrong} wrong ones, too few to be found by"
    return {**trust, "auroc": {"omitted": few}}


def _texts(values: Any) -> Iterator[str]:
    """All words in a file of figures."""
    if isinstance(values, str):
        yield values
    elif isinstance(values, Mapping | list):
        for value in values.values() if isinstance(values, Mapping) else values:
            yield from _texts(value)
