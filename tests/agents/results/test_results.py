"""README's table and docs/results.md say what the files of figures say, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from agents.results import pages, summary
from agents.results.figures import Figure, find_figure, number_text
from agents.results.goals import in_summary
from agents.results.intervals import auroc_interval, f1_interval, share_interval
from agents.results.released import (
    FOLDER,
    Source,
    older_results_of,
    read_results,
    results_of,
    with_trust_of_dreams,
)
from agents.results.scorecard import CARD, Given, Row, given, rows
from agents.results.tables import Bundle, cells, why_absent
from collectors.worlds.table import WORLDS
from world_models.evaluation.evaluator import Target

ROOT = Path(__file__).resolve().parents[3]
NUMBER = re.compile(r"-?\d[\d ]*(?:\.\d+)?(?:e-?\d+)?")


def part(page: str, name: str) -> str:
    """What stands between the marks of a part of a page."""
    text = (ROOT / page).read_text()
    return text.partition(pages.MARK.format(name))[2].partition(pages.END.format(name))[0]


def leaves(values) -> list[float]:
    """All numbers of a file."""
    if isinstance(values, dict):
        return [leaf for value in values.values() for leaf in leaves(value)]
    if isinstance(values, list):
        return [leaf for value in values for leaf in leaves(value)]
    return [values] if isinstance(values, int | float) else []


def test_the_pages_are_in_step_with_the_files():
    text = pages.parts()
    for page in pages.PAGES:
        before = (ROOT / page).read_text()
        assert pages.written(before, text) == before, f"{page} is not in step: run `make results`"


def test_every_number_of_the_readme_s_table_is_in_a_file_of_its_world():
    results = read_results()
    rows = [line for line in part("README.md", "summary").splitlines() if line.startswith("| `")]
    assert len(rows) == len(WORLDS)
    for row in rows:
        world, *cells, _ = [cell.strip() for cell in row[2:-2].split(" | ")]
        name = world.strip("`")
        known = [leaf for source in results[name] for leaf in leaves(dict(source.figures))]
        derived = [bound for line in whole_table(name) for bound in line[3].split(" to ")]
        shown = {number_text(leaf) for leaf in known} | set(derived)
        counts = {str(leaf) for leaf in known if isinstance(leaf, int)}
        for cell in cells:
            few = re.findall(r" \(of (\d+) only\)", cell)
            assert set(few) <= counts, (name, cell)
            cell = re.sub(r" \(of \d+ only\)", "", cell)
            numbers = NUMBER.findall(cell.replace("32 steps", ""))
            assert [text for text in numbers if text.strip() not in shown] == [], (name, cell)


def whole_table(bundle: str) -> list[list[str]]:
    """The rows of a bundle in docs/results.md: its name, title, measured, interval, ..."""
    lines = part("docs/results.md", "all results").splitlines()
    return [line[2:-2].split(" | ") for line in lines if line.startswith(f"| `{bundle}` |")]


def test_every_number_of_the_table_of_goals_is_in_the_file_that_its_row_names():
    files = {source.name: source for one in read_results().values() for source in one}
    lines = part("docs/results.md", "results").splitlines()
    sources = {
        line[0]: next(
            source
            for source in files.values()
            if f"`{source.made['command']}`" in line and str(source.made["date"]) in line
        )
        for line in lines
        if re.match(r"\d\. ", line)
    }
    table = [[cell.strip() for cell in line[2:-2].split(" | ")] for line in lines if "| `" in line]
    assert len(table) >= 20
    for _, title, measured, interval, samples, _, mark in table:
        known = leaves(dict(sources[mark.strip("[]†")].figures))
        value = NUMBER.search(measured)[0].strip()
        assert any(number_text(leaf) == value for leaf in known), title
        if samples:
            assert int(samples.replace(" ", "")) in known, title
        if interval:
            low, high = map(float, interval.split(" to "))
            assert low <= float(value) <= high, title


def test_a_number_that_no_file_holds_is_not_printed(tmp_path):
    folder = tmp_path / "measured"
    shutil.copytree(FOLDER, folder)
    assert "`snake` | next frame exact" in pages.parts(folder)["results"]
    shutil.rmtree(folder / "snake")
    (folder / "bench.json").unlink(missing_ok=True)
    text = pages.parts(folder)
    assert "| `snake` |" not in text["results"] + text["all results"]
    assert "`snake`, not measured (`neural-envs evaluate snake`): next frame" in text["all results"]


def test_another_number_in_a_file_is_another_number_on_the_page(tmp_path):
    folder = tmp_path / "measured"
    shutil.copytree(FOLDER, folder)
    change(folder, "snake", lambda figures: figures["rules"].update(transition_exact_rate=0.125))
    (row,) = [
        line
        for line in pages.parts(folder)["results"].splitlines()
        if "| next frame exact where" in line
    ]
    assert "| 0.125 |" in row and "≥ 0.995 ✗" in row


def test_a_world_s_row_says_what_is_not_measured_and_how_many_goals_are_met(tmp_path):
    folder = tmp_path / "measured"
    shutil.copytree(FOLDER, folder)
    change(folder, "snake", lambda figures: figures.update(transfer=1.5, weights="0" * 64))
    rows = pages.parts(folder)["summary"].splitlines()
    (snake,) = [row for row in rows if row.startswith("| `snake` |")]
    assert "| 1.500† |" in snake and " met, " in snake and " missed, " in snake
    shutil.rmtree(folder / "pong")
    (pong,) = [row for row in pages.parts(folder)["summary"].splitlines() if "`pong`" in row]
    assert pong.count(summary.ABSENT) == len(summary.HEAD) - 1


def test_a_transfer_without_a_ratio_is_not_called_unmeasured(tmp_path):
    folder = tmp_path / "measured"
    shutil.copytree(FOLDER, folder)
    found = json.loads((folder / "snake" / "transfer.json").read_text())
    found.update(transfer=None, transfer_ci=None)
    (folder / "snake" / "transfer.json").write_text(json.dumps(found))
    text = pages.parts(folder)
    (snake,) = [row for row in text["summary"].splitlines() if row.startswith("| `snake` |")]
    assert f"| {summary.UNCERTAIN} |" in snake
    assert "`snake`, without a value (`neural-envs transfer snake`):" in text["all results"]
    (folder / "snake" / "transfer.json").unlink()
    text = pages.parts(folder)
    (snake,) = [row for row in text["summary"].splitlines() if row.startswith("| `snake` |")]
    assert summary.UNCERTAIN not in snake
    assert "`snake`, not measured (`neural-envs transfer snake`):" in text["all results"]


def test_a_figure_of_few_samples_without_an_interval_says_how_many(tmp_path):
    folder = tmp_path / "measured"
    shutil.copytree(FOLDER, folder)
    for count, words in ((3, "dB (of 3 only) |"), (summary.FEW, "dB |")):
        change(
            folder,
            "worldmap",
            lambda x, n=count: x["rules"]["rollout"]["samples"].update({"32": n}),
        )
        (row,) = [x for x in pages.parts(folder)["summary"].splitlines() if "`worldmap`" in x]
        assert words in row.split("32 steps:")[1][:30]


def test_figures_of_other_weights_are_marked(tmp_path):
    folder = tmp_path / "measured"
    shutil.copytree(FOLDER, folder)
    (folder / "pong" / "spread.json").unlink()  # of a preset, not of weights
    older = {source.name for source in older_results_of("pong", folder)}
    for kind in ("evaluation", "transfer"):
        change(folder, "pong", lambda figures: figures.update(weights="0" * 64), kind)
    text = pages.parts(folder)["results"]
    marked = [line for line in text.splitlines() if line.startswith("| `pong`")]
    timed = ("speed", "frames per second")
    assert marked and all("†" in line for line in marked if not any(word in line for word in timed))
    assert "of weights or a sampler from before" in text
    assert {s.name for s in older_results_of("pong", folder)} == {
        "pong/evaluation.json",
        "pong/transfer.json",
        *older,
    }
    assert results_of("pong", folder) == [
        s for s in results_of("pong", folder) if "pong/" not in s.name
    ]


def change(folder: Path, bundle: str, how, kind: str = "evaluation") -> None:
    """Change the figures of a file of a bundle."""
    file = folder / bundle / f"{kind}.json"
    figures = json.loads(file.read_text())
    how(figures)
    file.write_text(json.dumps(figures))


def test_the_spread_between_world_models_is_of_a_preset_and_not_of_older_weights(tmp_path):
    folder = tmp_path / "measured"
    (folder / "snake").mkdir(parents=True)
    evaluation = json.loads((FOLDER / "snake" / "evaluation.json").read_text())
    made = {"made": evaluation["made"], "weights": ["a", "b", "c"], "transfer": None}
    found = {**made, "spread": {"world_models": 0.625, "ppo_seeds": 0.25, "games": 0.125}}
    (folder / "snake" / "spread.json").write_text(json.dumps(found))
    text = pages.parts(folder)["all results"]
    assert "between world models | 0.625 |" in text and "†" not in text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is damaged"),
        ("{}", "does not say how it was made"),
        ('{"made": {"command": "x"}, "weights": ""}', "does not say how it was made"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_sentence(text, sentence, tmp_path):
    (tmp_path / "snake").mkdir()
    (tmp_path / "snake" / "evaluation.json").write_text(text)
    with pytest.raises(ValueError, match=f"snake/evaluation.json {sentence}.*measure again"):
        read_results(tmp_path)


@pytest.mark.parametrize("place", ["/home/somebody/data", "~/data", "C:\\data", "file:data"])
def test_a_file_that_names_a_place_on_a_machine_is_refused(place, tmp_path):
    (tmp_path / "snake").mkdir()
    machine = dict.fromkeys(("processor", "vectors", "cores", "threads"), 1)
    made = {**dict.fromkeys(("command", "commit", "date"), ""), "machine": machine}
    figures = {"made": made, "weights": "", "data": {"path": place}}
    (tmp_path / "snake" / "evaluation.json").write_text(json.dumps(figures))
    with pytest.raises(ValueError, match="names a place on a machine"):
        read_results(tmp_path)


def test_a_figure_is_found_with_its_interval_and_its_samples():
    figures = {
        "trust": {"auroc": {"value": 0.9, "interval": [0.8, 0.95], "samples": 7}},
        "rollout": {"psnr": {"32": 20.0}, "psnr_ci": {"32": [19, 21]}, "samples": {"32": 5}},
        "dream": {"return_mean": 2.0, "return_ci": [1, 3], "episodes": 128},
        "reward": {"-0.01": {"f1": 0.5, "support": 3, "precision": 0.5, "recall": 0.5}},
        "exploitation": {"by_step": [{"ratio": 3.0}, {"ratio": 1.5, "ratio_ci": [1, 2]}]},
        "kid": {"omitted": "too few frames"},
    }
    assert find_figure(figures, "trust.auroc") == Figure(0.9, (0.8, 0.95), 7)
    assert find_figure(figures, "rollout.psnr.32") == Figure(20.0, (19, 21), 5)
    assert find_figure(figures, "dream.return_mean") == Figure(2.0, (1, 3), 128)
    assert find_figure(figures, "exploitation.by_step.-1") == Figure(1.5, (1, 2), None)
    assert find_figure(figures, "reward.-0.01.f1").samples == 3
    assert find_figure(figures, "kid.value") is None and find_figure(figures, "no.such") is None


def test_intervals_hold_their_share_and_shrink_with_the_samples():
    assert share_interval(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-3)  # Wilson 1927
    old = {"game": {"random": {"ends_by_the_rules": {"dream": {}, "real": {}}, "return": {}}}}
    for side in old["game"]["random"].values():
        side |= {"value": 1.0, "interval": [1.0, 1.0], "samples": 2}
    sure = find_figure(old, "game.random.ends_by_the_rules")
    assert sure.interval == share_interval(1.0, 2) and sure.interval[0] < 0.4
    assert find_figure(old, "game.random.return").interval == (1.0, 1.0)
    assert share_interval(1.0, 10)[1] == 1 and share_interval(1.0, 10)[0] < 0.8
    assert f1_interval(1.0, 1000)[0] > f1_interval(1.0, 10)[0]
    wide, narrow = auroc_interval(0.9, 10, 100), auroc_interval(0.9, 100, 1000)
    assert wide[0] < narrow[0] < 0.9 < narrow[1] < wide[1]


def test_each_figure_of_a_scorecard_comes_whole_from_the_first_source_that_has_it():
    own = Given("own", {"rules": {"transition_exact_rate": 0.99}})
    card = Given(CARD, {"rules.transition_exact_rate": 1.0, "reward.f1[-1]": 0.5})
    found = {row.target.path: row for row in rows("snake", [own, card])}
    row = found["rules.transition_exact_rate"]
    assert (row.figure, row.source, row.passed) == (Figure(0.99, None, None), "own", False)
    assert found["reward.one_step.classes.-1.f1"].source == CARD
    assert found["rules.one_food_after_eating"].figure is None


def test_policies_and_depths_are_spelled_out_as_the_file_has_them():
    kept = {"32": {"sharpness": 1.0}, "500": {"sharpness": 0.5}}
    played = {"random": {"return": {"value": 1.3, "interval": [1.2, 1.4], "samples": 64}}}
    found = {
        row.target.title: row.passed
        for row in rows("pong", [Given("x", {"hold": kept, "game": played})])
    }
    assert found["sharpness, dream / game: 500 steps deep"] is False
    assert found["sharpness, dream / game: 32 steps deep"] is True
    assert found["return, dream / game: random"] is False
    assert found["length of a game, dream / game"] is None


def test_what_was_left_out_is_a_goal_without_a_value_that_says_why():
    game = {"value": 1.0, "interval": [0.9, 1.1], "samples": 9}
    figures = {
        "game": {"random": {"return": game}, "astar": {"return": {**game, "value": None}}},
        "spread": None,
        "hold": {"1": {"sharpness": game}, "500": {"omitted": "too few games last 500 steps"}},
    }
    found = {row.target.path: row for row in rows("snake", [Given("evaluation", figures)])}
    assert found["game.random.return"].passed and found["game.astar.return"].figure is None
    assert found["hold.500.sharpness"].figure is None and "hold.100.sharpness" in found
    source = Source("snake/evaluation.json", figures, "w")
    bundle = Bundle("snake", "snake", "w", [source])
    assert why_absent(bundle, found["spread.world_models"]) == "not measured"
    reasons = [why_absent(bundle, found[f"{path}"]) for path in (
        "game.astar.return", "hold.500.sharpness", "hold.100.sharpness")]  # fmt: skip
    assert reasons == [
        "without a value",
        "left out, as too few games last 500 steps",
        "not measured",
    ]


def test_random_play_has_no_runs_and_is_counted_by_its_games():
    figures = {"random": {"return_mean": 1.0, "return_ci": [0.5, 1.5], "runs": 0, "episodes": 384}}
    assert find_figure(figures, "random.return_mean").samples == 384
    figures["random"]["runs"] = 3
    assert find_figure(figures, "random.return_mean").samples == 3


def test_each_event_of_each_player_is_a_goal():
    game = {"value": 1.4, "interval": [1.0, 2.0], "samples": 9}
    figures = {"game": {"scripted": {"events": {"points_won": game, "points_lost": game}}}}
    found = {row.target.title: row for row in rows("pong", [Given("evaluation", figures)])}
    won = found["points won, dream / game: scripted"]
    assert won.target.path == "game.scripted.events.points_won" and won.passed is False


def test_a_figure_shows_what_it_is_read_against():
    kid = {"value": 0.5, "copy_start": 0.75, "reconstruction": 0.25, "samples": 8}
    figure = find_figure({"hold": {"32": {"kid": kid}}}, "hold.32.kid")
    row = Row(Target("hold.32.kid", "KID", most=0.1), figure, "file", False)
    assert cells(row, figure)[1] == "0.500 (start frames 0.750, reconstructions 0.250)"


def test_every_column_of_the_readme_s_table_is_a_goal_of_its_world():
    for world, columns in summary.OWN.items():
        paths = {row.target.path for row in rows(world, read_given(world))}
        assert {path for path, _ in columns} <= paths, world


def read_given(world: str) -> list[Given]:
    return given(read_results(FOLDER)[world])


def test_the_two_sides_of_a_ratio_are_shown_beside_it():
    pair = {"dream": {"value": 3.0, "samples": 64}, "real": {"value": 2.0, "samples": 64}}
    figure = find_figure({"return": {"value": 1.5, "samples": 64, **pair}}, "return")
    assert figure == Figure(1.5, None, 64, (3.0, 2.0))
    row = Row(Target("return", "return", 0.75, 1.25), figure, "file", False)
    assert cells(row, figure)[1] == "1.500 (3.000 / 2.000)"


def test_the_short_table_has_two_players_and_two_depths():
    kept = ("game.random.return", "game.astar.events_per_1000", "hold.32.kid", "rules.counts")
    left = ("game.equivalent.return", "game.astar.length", "hold.1.kid")
    assert all(in_summary(path, "snake") for path in kept)
    assert not any(in_summary(path, "snake") for path in left)


def test_near_one_the_last_digits_are_shown():
    shown = [number_text(value) for value in (0.99975, 0.9921, 0.5, 31.096, 1258.2, 3e-5, 1.0)]
    assert shown == ["0.99975", "0.9921", "0.500", "31.1", "1258", "3e-05", "1.000"][:5] + [
        "3e-5",
        "1.000",
    ]


@pytest.mark.parametrize("world", WORLDS)
def test_a_strip_of_deep_dreams_is_a_small_image(world):
    file = ROOT / "docs" / pages.strip_path(world)
    assert file.stat().st_size <= 200_000
    with Image.open(file) as image:
        assert image.width > 5 * 64 and image.format == "PNG"


def test_trust_is_that_of_dreams_which_is_calibrated_where_it_can_be():
    trust = {"auroc": 0.75, "aurc": {"value": 0.25}, "wrong": 6, "samples": 40}
    found = with_trust_of_dreams({"trust": trust})
    assert find_figure(found, "trust.of_dreams.auroc") == find_figure(found, "trust.auroc")
    found = with_trust_of_dreams(
        {"trust": trust | {"auroc_calibrated": 0.875, "aurc_calibrated": 0.125}}
    )
    auroc, aurc = (find_figure(found, f"trust.of_dreams.{name}") for name in ("auroc", "aurc"))
    assert (auroc.value, auroc.samples, aurc.value) == (0.875, 40, 0.125)
    assert auroc.interval == auroc_interval(0.875, 6, 34)
    assert with_trust_of_dreams({"made": {}}) == {"made": {}}
