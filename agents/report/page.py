"""The page as a whole: one HTML text with style, script and images inside; it loads nothing."""

from datetime import UTC, datetime
from html import escape
from pathlib import Path

from agents.report import depths, sections, tiles
from agents.report.charts import Axis, Line, line_chart
from agents.report.film_player import Row, clip, explanation, player
from agents.report.findings import Findings
from agents.report.learning import exploitation_cards
from agents.report.sources import origins
from agents.results.scorecard import rows
from collectors.dataset.dataset import dataset_name
from collectors.worlds.table import WORLDS
from neural_envs import __version__
from world_models.bundles.identity import bundle_hash

HERE = Path(__file__).parent
LINKS = (
    "scorecard",
    "depth",
    "beside",
    "actions",
    "horizon",
    "outcomes",
    "calibration",
    "training",
    "provenance",
)


def html(found: Findings, folder: Path) -> str:
    """The page; strips of the clips are written into `folder`."""
    spec = found.bundle.model.spec
    title = f"{found.config.bundle}: a dream of {spec.world}"
    parts = [
        _hero(found),
        _scorecard(found),
        _depth(found, folder),
        _beside(found, folder),
        _actions(found),
        *_figures(found),
        _provenance(found),
    ]
    body = "\n".join(parts)
    links = "".join(f'<a href="#{name}">{name}</a>' for name in LINKS)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta '
        'name="color-scheme" '
        'content="light dark"><link rel="icon" '
        f'href="data:,"><style>{(HERE / "page.css").read_text()}</style></head>'
        f"<body><nav>{links}</nav><main>{body}</main>"
        f"<script>{(HERE / 'page.js').read_text()}</script></body></html>\n"
    )


def _hero(found: Findings) -> str:
    spec, play = found.bundle.model.spec, found.play
    weights = sum(parameter.numel() for parameter in found.bundle.model.parameters())
    size = sum(file.stat().st_size for file in found.bundle.path.iterdir() if file.is_file())
    facts = [
        f"{found.bundle.config['kind']} model",
        f"{weights / 1e6:.2g} M parameters",
        f"{size / 1e6:.1f} MB",
        spec.actions_in_words,
        f"{spec.fps} frames per second",
    ]
    trust = [(step, float(value)) for step, value in enumerate(play.trust, 1)]
    chart = line_chart(
        [Line("trust", trust, "c2")], Axis(1, max(2, len(trust)), "steps"), Axis(0, 1.0)
    )
    film = player([Row("", play.frames, len(play.rewards) if play.ended else None)], spec.fps)
    chips = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    return (
        f'<header class="hero"><div class="stage">{film}</div><div '
        f'class="words"><h1>{escape(found.config.bundle)}</h1>'
        f"<p>A dream of <b>{escape(spec.world)}</b>: every frame you see here was made by the "
        "model, while the policy "
        f"<b>{escape(found.policy)}</b> played. Return {float(play.rewards.sum()):g} in "
        f"{len(play.rewards)} steps"
        f"{', game over' if play.ended else ''}.</p><ul "
        f'class="chips">{chips}</ul>{chart}</div></header>'
    )


def _scorecard(found: Findings) -> str:
    world = found.bundle.model.spec.world
    body = tiles.scorecard(
        rows(world, found.sources),
        origins(found.sources),
        found.config.bundle,
        world,
        found.sources,
    )
    return sections.section(
        "scorecard",
        "Scorecard",
        body,
        "Compared with the real game, on episodes that training never used. Green reaches its "
        "target, red does not. Below each figure: its 95 % interval and samples, its target, and "
        "where it comes from.",
    )


def _depth(found: Findings, folder: Path) -> str:
    figures = found.evaluation.figures
    charts = depths.own_charts(figures)
    body = depths.strip_card(found.strip, folder)
    body += f'<div class="three">{charts}</div>' if charts else ""
    played = depths.game_table(figures)
    table = f"<h3>The same policies in the dream and in the game</h3>{played}" if played else ""
    learned = exploitation_cards(found.sources)
    table += (
        f'<h3>Agents that learned in it</h3><div class="three">{learned}</div>' if learned else ""
    )
    lead = f"What the dream keeps as it goes on. {_from(found)}"
    return sections.section("depth", "Deep dreams and whole games", body + table, lead)


def _from(found: Findings) -> str:
    """Which evaluation the figures of a section are of."""
    name = found.evaluation.name
    return f"Figures from {escape(name)}." if name else "No evaluation is here."


def _beside(found: Findings, folder: Path) -> str:
    lead = (
        "The same start and the same actions in the dream and in the recording. They diverge "
        f"where {explanation()}. "
    )
    lead += "Where the game is random, another draw is no error, but they diverge all the same."
    if found.measured is None:
        body = sections.missing(found.unmeasured, _collect(found))
    else:
        fps = found.bundle.model.spec.fps
        clips = "".join(
            clip(number, made, fps, folder) for number, made in enumerate(found.measured.clips, 1)
        )
        body = f'<div class="clips">{clips}</div>'
    return sections.section("beside", "Dream beside reality", body, lead)


def _actions(found: Findings) -> str:
    grid = found.grid
    last_steps = [int(column.argmax()) if column.any() else None for column in grid.terminated.T]
    films = [
        Row(f"{name} {reward:+g}" if reward else name, grid.frames[:, number], last_steps[number])
        for number, (name, reward) in enumerate(zip(grid.names, grid.returns[-1], strict=True))
    ]
    lead = (
        "One start, the same random numbers, each action held: whatever differs is the action's "
        "doing."
    )
    body = (
        '<div class="card '
        f'grid">{player(films, found.bundle.model.spec.fps, columns=len(films))}</div>'
    )
    return sections.section("actions", "Rollouts by action", body, lead)


def _figures(found: Findings) -> list[str]:
    measured, figures, command = found.measured, found.evaluation.figures, _evaluate(found)
    curves = figures.get("rollout", {}).get("curves")
    by = f"; {escape(found.evaluation.name)}"
    if not curves and measured:
        curves, by = measured.curves, f"; {found.config.rollouts} rollouts, dreamed for this page"
    by = by if curves else ""
    horizon = sections.horizon(curves, _collect(found))
    values = found.bundle.model.spec.reward_values
    outcome = sections.outcomes(measured, figures, values, _collect(found))
    reliabilities = measured.reliability if measured else {}
    counted = f" Dreamed here: {len(measured.one_step.action)} transitions." if measured else ""
    return [
        sections.section(
            "horizon",
            "How deep a dream stays right",
            horizon,
            f"Open loop: only the first frame is real. Copying it forever is the bar to beat{by}.",
        ),
        sections.section(
            "outcomes",
            "Rewards and terminations",
            outcome,
            "Rows are what the game did, columns what the dream did, dreamed for this page with "
            f"rare ones sampled more often. Precision and recall: {_from(found)}",
        ),
        sections.section(
            "calibration",
            "Does it know what it knows?",
            sections.calibration(reliabilities, figures, command if measured else _collect(found)),
            f"On the diagonal, what is claimed with 80 % is so 80 % of the time.{counted}",
        ),
        sections.section(
            "training", "Training", sections.training(found.run), "Losses of the run, by update."
        ),
    ]


def _provenance(found: Findings) -> str:
    config, path = found.bundle.config, found.bundle.path
    about = {
        "bundle hash": bundle_hash(path),
        "page made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "neural-envs": __version__,
        "command": f"neural-envs report {found.config.bundle}",
        "licence": "MIT",
    }
    if found.measured is not None:
        about["test episodes here"] = str(found.measured.episodes)
        about["dataset here"] = found.measured.dataset
        same = found.measured.dataset == config["provenance"].get("dataset")
        about["trained on this dataset"] = (
            "yes, on its other episodes" if same else "no: on another, or on more of it"
        )
    tables = {"Where it comes from": config["provenance"], "This page": about}
    link = (
        '<p class="note">All figures of every source, and the settings of the model: '
        '<a href="figures.json">figures.json</a>, beside this page.</p>'
    )
    return sections.section(
        "provenance", "Provenance", sections.provenance(tables) + link, "What made this bundle."
    )


def _evaluate(found: Findings) -> str:
    return f"neural-envs evaluate {found.config.bundle}"


def _collect(found: Findings) -> str:
    world = found.bundle.model.spec.world
    game = world if world in WORLDS else f"--env {world}"
    return (
        f"neural-envs collect {game} --frames 20000 --policy mix --out data/{dataset_name(world)}"
    )
