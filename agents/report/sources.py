"""Where a report's figures come from: own files of this bundle, those of its release, its card."""

import json
import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from agents.envs import weights_fingerprint
from agents.report.findings import ReportConfig
from agents.results.released import Source, older_results_of, results_of, with_trust_of_dreams
from agents.results.scorecard import CARD, Given
from agents.results.tables import origin_text
from collectors.dataset.dataset import dataset_name
from collectors.files import write_atomically
from neural_envs.bundles import label_of
from world_models.bundles.bundle import Bundle

OLDER = "of weights or a sampler from before"


def find_sources(config: ReportConfig, bundle: Bundle) -> list[Given]:
    """All sources of figures of a bundle, the nearest first; what was measured of weights from
    before comes last, under that name.

    Raises ValueError for a file that is damaged, and for one that was asked for and is missing.
    """
    released = [Given(f"release: {one.name}", one.figures) for one in results_of(config.bundle)]
    card = Given(CARD, {k: v for k, v in bundle.config["scores"].items() if v is not None})
    older = [Given(f"{OLDER}: {one.name}", one.figures) for one in older_results_of(config.bundle)]
    found = [read_evaluation(config), read_transfer(config, bundle), *released, card, *older]
    return [source for source in found if source is not None and source.figures]


def read_evaluation(config: ReportConfig) -> Given | None:
    """evaluation.json; one that was not asked for must be of this bundle's weights."""
    folder = config.evaluation or f"evaluation/{label_of(config.bundle)}"
    file = Path(folder) / "evaluation.json"
    made = f"neural-envs evaluate {config.bundle} --out {config.evaluation}"
    figures = _read(file, "one_step", made if config.evaluation else "", "evaluate")
    other = figures and _other_bundle(figures, config.bundle)
    if other:
        left = "" if config.evaluation else "; it is left out: evaluate the bundle again"
        print(f"neural-envs report: note: {file} is of {other}{left}", file=sys.stderr)
        if not config.evaluation:
            return None
    return Given(str(file), with_trust_of_dreams(figures)) if figures else None


def _other_bundle(figures: Mapping[str, Any], bundle: str) -> str:
    """Which other bundle figures are of, in words; "" where they are of this one."""
    if Path(str(figures.get("bundle"))).name != Path(bundle).name:
        return f"the bundle {figures.get('bundle')}"
    weights = figures.get("weights")  # an older file has none
    own = weights_fingerprint("", bundle)
    return "other weights than the bundle has now" if weights and weights != own else ""


def read_transfer(config: ReportConfig, bundle: Bundle) -> Given | None:
    """transfer.json; one that was not asked for must be of these weights."""
    world = bundle.model.spec.world
    file = Path(config.transfer or f"runs/transfer/{dataset_name(world)}") / "transfer.json"
    made = f"neural-envs transfer {world} --bundle {config.bundle} --out {config.transfer}"
    figures = _read(file, "transfer", made if config.transfer else "", "transfer")
    found = Source(str(file), figures, figures.get("weights", ""))
    own = found.is_of(weights_fingerprint(world, config.bundle))
    return Given(str(file), figures) if figures and (own or config.transfer) else None


def _read(file: Path, key: str, command: str, verb: str) -> dict:
    """The figures, {} where there is no file; with a command it was asked for."""
    if not file.is_file():
        if command:
            raise ValueError(f"{file.parent} holds no {file.name}; make one with `{command}`")
        return {}
    try:
        figures = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}); {verb} the bundle again") from None
    if not isinstance(figures, dict) or key not in figures:
        raise ValueError(f"{file} is not what {verb} writes; {verb} the bundle again")
    return figures


def origins(sources: Sequence[Given]) -> dict[str, str]:
    """How each source was made, as HTML."""
    return {source.name: _origin(source) for source in sources}


def _origin(source: Given) -> str:
    if source.name == CARD:
        return "written when the bundle was released; a card keeps no intervals and no counts."
    if "made" in source.figures:
        return f"{escape(origin_text(source.figures)).replace('`', '')}."
    data = source.figures.get("data", {})
    return f"{escape(str(data.get('split', 'test')))} split of {escape(str(data.get('path', '')))}."


def write_sources(path: Path, sources: Sequence[Given], bundle: Bundle) -> Path:
    """All figures, and the bundle's settings, in one file beside the page."""
    whole = {"figures": {source.name: source.figures for source in sources}}
    return write_atomically(path, json.dumps({**whole, "bundle": bundle.config}, indent=1) + "\n")
