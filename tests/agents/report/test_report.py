"""The report: what it counts, what it draws, and a page that needs nothing but a bundle."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch

from agents.envs import weights_fingerprint
from agents.report import charts, depths, film_player, main, sections, tiles
from agents.report.findings import ReportConfig
from agents.report.from_dataset import DIVERGED, clip_of, reliability, visibly_different
from agents.report.learning import exploitation_cards
from agents.report.sources import read_evaluation
from agents.results.scorecard import CARD, Given, rows
from agents.results.summary import UNCERTAIN
from world_models.evaluation.rollouts import Rollouts

SMALL = [
    "--steps",
    "3",
    "--actions-steps",
    "2",
    "--transitions",
    "24",
    "--rollouts",
    "3",
    "--horizon",
    "4",
    "--depth",
    "6",
]


def opened(**changes) -> Rollouts:
    """One rollout of three steps in which dream and recording are the same, but for `changes`."""
    film, no = torch.zeros(1, 4, 8, 8, 3, dtype=torch.uint8), torch.zeros(1, 3, dtype=torch.bool)
    numbers = torch.zeros(1, 3)
    parts = {
        "frames": film,
        "real_frames": film,
        "actions": torch.tensor([[0, 1, 0]]),
        "earlier": film[:, 0],
    }
    parts |= {"rewards": numbers, "real_rewards": numbers, "trust": numbers + 1}
    parts |= {"terminations": no, "real_terminations": no, "running": ~no, "real_running": ~no}
    return Rollouts(**{**parts, **changes})


def changed(leaf: torch.Tensor, place: tuple, value) -> torch.Tensor:
    leaf = leaf.clone()
    leaf[place] = value
    return leaf


def test_a_clip_diverges_where_its_frames_its_rewards_or_its_terminations_do():
    same = opened()
    names = ("up", "down")
    assert clip_of(same, 0, names).diverged is None and clip_of(same, 0, names).actions == [
        "up",
        "down",
        "up",
    ]
    changed_frame = opened(frames=changed(same.frames, (0, 2, 0, 0), 200))
    assert (clip_of(changed_frame, 0, names).diverged, clip_of(changed_frame, 0, names).why) == (
        2,
        "the frames differ",
    )
    rewarded = opened(rewards=changed(same.rewards, (0, 0), 1.0))
    clip = clip_of(rewarded, 0, names)
    assert (clip.diverged, clip.why) == (1, "another reward")
    ended = opened(terminations=changed(same.terminations, (0, 2), True))
    assert (clip_of(ended, 0, names).diverged, clip_of(ended, 0, names).why) == (
        3,
        "only one game is over",
    )


def test_a_clip_is_cut_where_its_recording_ends():
    cut = opened(real_running=torch.tensor([[True, True, False]]))
    clip = clip_of(cut, 0, ("up", "down"))
    assert len(clip.dream) == len(clip.real) == 3 and len(clip.trust) == 2


def test_a_pixel_counts_as_different_when_one_sees_it():
    a, b = np.zeros((1, 10, 10, 3), np.uint8), np.zeros((1, 10, 10, 3), np.uint8)
    a[0, 0, 0], a[0, 0, 1] = (0, 48, 0), 47
    assert visibly_different(a, b) == pytest.approx([0.01]) and DIVERGED < 0.01


def test_reliability_puts_confidences_beside_how_often_they_are_right():
    found = reliability(np.array([0.95, 0.93, 0.31, 1.0]), np.array([True, False, True, True]))
    np.testing.assert_allclose(found.claimed, [0.31, (0.95 + 0.93 + 1.0) / 3])
    np.testing.assert_allclose(found.found, [1, 2 / 3])
    assert found.samples.tolist() == [1, 3]


def test_a_tile_shows_interval_samples_target_and_the_one_source_of_its_figure():
    own = {"rules": {"transition_exact_rate": 0.99, "samples": 1000}}
    card = {"rules.transition_exact_rate": 1.0, "rules.one_food_after_eating": 0.5}
    found = rows("snake", [Given("evaluation/evaluation.json", own), Given(CARD, card)])
    page = tiles.scorecard(
        found, {CARD: "old", "evaluation/evaluation.json": "new"}, "snake", "snake"
    )
    first, second = re.findall(r'<div class="tile .*?</div>', page)
    assert "0.990" in first and "to 0.99" in first and "1 000 samples" in first
    single = [Given("own", {"rules": {"transition_exact_rate": 1.0, "samples": 1}})]
    assert "; 1 sample<" in tiles.scorecard(rows("snake", single), {}, "snake", "snake")
    assert "at least 0.995, missed" in first and "evaluation/evaluation.json" in first
    assert "0.500" in second and "no interval, no count" in second and CARD in second
    assert CARD not in first and "evaluation.json" not in second
    assert f"<b>{CARD}</b>: old" in page and "neural-envs transfer snake" in page


def test_a_ratio_that_is_too_uncertain_is_not_called_unmeasured():
    learned = {"return_mean": 1.0, "return_ci": [0.5, 1.5], "runs": 3, "episodes": 9}
    uncertain = {"transfer": None, "dream": learned, "real": learned, "random": learned}
    sources = [Given("runs/transfer.json", uncertain)]
    page = tiles.scorecard(rows("snake", sources), {}, "snake", "snake", sources)
    ratio = "(dream - random) / (game - random)"
    lines = [line for line in re.findall(r'<p class="note">.*?</p>', page) if ratio in line]
    assert len(lines) == 1 and f"{ratio}: no ratio: too uncertain, for agents" in lines[0]
    assert "runs/transfer.json" in lines[0] and "easures" not in lines[0]
    bare = tiles.scorecard(rows("snake", []), {}, "snake", "snake")
    assert re.search(rf"Not measured: [^<]*{re.escape(ratio)}", bare) and UNCERTAIN not in bare


def test_what_was_left_out_for_a_reason_is_not_called_unmeasured():
    played = {"return": {"value": 1.0}}
    figures = {"game": {"equivalent": {"omitted": "no two keys do the same"}, "random": played}}
    sources = [Given("runs/evaluation.json", figures)]
    page = tiles.scorecard(rows("snake", sources), {}, "snake", "snake", sources)
    lines = [line for line in re.findall(r'<p class="note">.*?</p>', page) if "equivalent" in line]
    assert [line for line in lines if "Left out, as no two keys do the same: return" in line]
    assert not [
        line for line in lines if "return, dream / game: equivalent" in line and "code>" in line
    ]


def test_what_agents_earn_in_the_dream_is_drawn_beside_the_game():
    rows_of = [{"steps": n, "dreamed": n / 2, "real": n / 3} for n in (8, 16)]
    given = Given("a/transfer.json", {"exploitation": {"by_step": rows_of, "by_horizon": rows_of}})
    page = exploitation_cards([Given("b", {}), given])
    assert page.count("<svg") == 2 and "Return along training" in page and "a/transfer.json" in page
    assert "in the dream" in page and exploitation_cards([Given("b", {"exploitation": None})]) == ""


def test_policies_are_shown_beside_the_game_and_depths_as_charts():
    side = {"value": 1.5, "interval": [1, 2], "samples": 9}
    figures = {
        "game": {
            "scripted": {
                "return": {"dream": side, "real": 2.0, "value": 0.75, "interval": [0.5, 1]},
                "ends_by_the_rules": {"dream": 0.875, "real": 1.0, "value": 0.875},
                "events": {"points_won": {"dream": 3.0, "real": 4.0, "value": None}},
                "steps": {"dream": 1000, "real": 1000},
                "lanes": {"dream": 34, "real": 34},
            }
        },
        "rules": {"rollout": {"ball_error": {"1": 0.1, "32": 5.0}, "samples": {"1": 3, "32": 3}}},
        "hold": {"1": {"sharpness": side}, "500": {"sharpness": side}},
    }
    table = depths.game_table(figures)
    assert "scripted <small>34 × 1 000 steps</small>" in table
    returned = "<td>1.500 <small>1.000 to 2.000</small></td><td>2.000</td>"
    assert f"{returned}<td>0.750 <small>0.500 to 1.000</small></td>" in table
    assert "<td>points won per 1 000 steps</td><td>3.000</td><td>4.000</td><td>–</td>" in table
    assert table.count("0.875") == 1  # a share of games is no ratio
    charted = depths.own_charts(figures)
    assert "ball, error in pixels" in charted and "sharpness, dream / game" in charted
    assert "samples" not in charted and depths.own_charts({}) == depths.game_table({}) == ""


def test_wrong_frames_among_those_kept_are_a_chart_beside_any_frames():
    curve = {"0.1": 0.0, "0.5": 0.1, "1": 0.25}
    aurc = {"value": 0.1, "interval": [0.05, 0.2], "samples": 9}
    trust = {"auroc": 0.9, "samples": 9, "aurc": aurc, "aurc_uninformed": 0.25}
    text = sections.calibration({}, {"trust": {**trust, "risk_coverage": curve}}, "evaluate")
    assert text.count("<polyline") + text.count("<path") >= 2 and "share of frames kept" in text
    assert "Area (AURC) 0.1 (0.05 to 0.2)." in text
    assert "share of frames kept" not in sections.calibration({}, {"trust": trust}, "evaluate")


def test_what_min_trust_does_to_games_and_what_was_not_played_are_sentences():
    ratio = {"value": 0.97, "interval": [0.9, 1.0], "samples": 8}
    cut = {"threshold": 0.5, "policy": "astar", "cuts_per_1000": {"value": 12.5, "samples": 8}}
    cut |= {"with": {"return": ratio}, "without": {"return": {"value": None}}}
    trust = {"auroc": 0.9, "samples": 10, "min_trust": cut}
    text = sections.calibration({}, {"trust": trust}, "evaluate")
    assert "12.5 times per 1 000 steps" in text and "no ratio without it, 0.97 (0.9 to 1)" in text
    none = sections.calibration(
        {}, {"trust": {**trust, "min_trust": {"omitted": "no"}}}, "evaluate"
    )
    assert "min_trust" not in none
    rows = depths.game_table({"game": {"equivalent": {"omitted": "it met no such keys"}}})
    assert "it met no such keys" in rows


def test_a_chart_leaves_out_what_is_not_finite_and_keeps_within_its_frame():
    lines = [charts.Line("a <b>", [(0, 0.0), (1, None), (2, float("nan")), (3, 10.0)])]
    text = charts.line_chart(lines, charts.Axis(0, 3), charts.Axis(0, 10))
    path = re.search(r'class="c0 line" d="M([^"]*)"', text)[1]
    points = [tuple(map(float, point.split())) for point in path.split(" L")]
    assert points == [
        (charts.LEFT, charts.HEIGHT - charts.BOTTOM),
        (charts.WIDTH - charts.RIGHT, charts.TOP),
    ]
    assert "a &lt;b&gt;" in text


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (charts.Axis(0, 10), [0, 5, 10]),
        (charts.Axis(0, 1), [0, 0.5, 1]),
        (charts.Axis(1e-4, 0.5, log=True), [1e-4, 1e-3, 1e-2, 1e-1]),
    ],
)
def test_an_axis_is_divided_at_round_numbers(axis, ticks):
    assert axis.ticks() == pytest.approx(ticks)


def test_a_player_lays_its_films_into_one_image_and_lets_the_shorter_wait():
    films = [np.full((length, 4, 4, 3), grey, np.uint8) for length, grey in ((3, 10), (2, 200))]
    text = film_player.player(
        [film_player.Row("dream", films[0]), film_player.Row("real", films[1], 1)], 10, diverged=2
    )
    about = json.loads(re.search(r'data-player="([^"]*)"', text)[1].replace("&quot;", '"'))
    assert about == {
        "frames": 3,
        "fps": 10,
        "names": ["dream", "real"],
        "ends": [None, 1],
        "size": [4, 4],
        "diverged": 2,
    }
    assert text.count("data:image/png;base64,") == 1


def test_a_large_image_is_compressed_with_loss():
    noise = np.random.default_rng(0).integers(0, 256, (128, 480, 3), dtype=np.uint8)
    assert film_player.data_uri(noise).startswith(("data:image/webp", "data:image/jpeg"))


def test_the_horizon_says_where_copying_becomes_better():
    curves = {
        "dream": {"psnr": [30, 20, None], "ssim": [1, 0.9, 0.8]},
        "copy_last_frame": {"psnr": [25, 21, 20], "ssim": [1, 1, 1]},
    }
    assert sections.broken_even(curves) == 2
    assert "From step 2 on" in sections.horizon(curves, "")
    curves["copy_last_frame"]["psnr"] = [25, 19, 20]
    assert "better throughout the 2 steps that" in sections.horizon(curves, "")
    nothing = {name: {"psnr": [None], "ssim": [None]} for name in curves}
    assert "better" not in sections.horizon(nothing, "")


def pages(folder) -> str:
    return (folder / "index.html").read_text()


def test_a_bundle_alone_gives_a_page_that_loads_nothing_and_says_what_is_missing(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["snake", "--out", "report", *SMALL]) == 0
    page = pages(tmp_path / "report")
    assert (
        re.findall(r'(?:src|href)="(?!data:|#)([^"]*)', page) == ["figures.json"]
        and "url(" not in page
        and len(page) < 3e6
    )
    for command in ("evaluate snake", "collect snake", "report RUN/bundle"):
        assert f"neural-envs {command}" in page
    assert "next frame exact where nothing is random" in page and "release: snake/" in page
    sources = json.loads((tmp_path / "report" / "figures.json").read_text())["figures"]
    assert CARD in sources and "release: snake/evaluation.json" in sources
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "index.html",
        "actions.png",
        "depths.png",
        "dream.png",
        "figures.json",
    }
    assert "written: report/index.html" in capsys.readouterr().out


def test_data_an_evaluation_and_a_run_fill_the_page(tmp_path, monkeypatch):
    from collectors.recording.collect import main as collect

    monkeypatch.chdir(tmp_path)
    assert collect(["snake", "--frames", "700", "--policy", "random", "--out", "data/snake"]) == 0
    (tmp_path / "evaluation/snake").mkdir(parents=True)
    figures = {
        "bundle": "snake",
        "one_step": {"psnr": 12.5},
        "trust": {"auroc": 0.75, "samples": 9},
    }
    (tmp_path / "evaluation/snake/evaluation.json").write_text(json.dumps(figures))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.csv").write_text(
        "update,train_frame,validation_frame\n10,0.5,0.6\n20,0.1,\n"
    )
    assert main(["snake", "--out", "report", "--run", "run", *SMALL]) == 0
    page = pages(tmp_path / "report")
    assert "12.5" in page and "evaluation/snake/evaluation.json" in page and "auroc 0.75" in page
    assert "0.750" in page and "9 samples" in page
    assert (
        "real ↓ dreamed →" in page and "validation" in page and 'class="card missing"' not in page
    )
    assert (tmp_path / "report" / "clip_1.png").is_file()


def test_a_recording_without_held_out_episodes_is_a_sentence_on_the_page(tmp_path, monkeypatch):
    from collectors.recording.collect import main as collect

    monkeypatch.chdir(tmp_path)
    assert collect(["snake", "--frames", "20", "--policy", "random", "--out", "data/snake"]) == 0
    assert main(["snake", "--out", "report", *SMALL]) == 0
    assert "data/snake is too small: no episode of it is held out" in pages(tmp_path / "report")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nosuch"], "no bundle 'nosuch'"),
        (["snake", "--data", "nowhere"], "nowhere is not a dataset"),
        (["snake", "--evaluation", "nowhere"], "nowhere holds no evaluation.json; make one with"),
        (["snake", "--transfer", "nowhere"], "nowhere holds no transfer.json; make one with"),
        (["snake", "--run", "nowhere"], "nowhere is not a run directory"),
        (["snake", "--out", "file/report"], "cannot write or read file"),
    ],
)
def test_what_cannot_be_reported_on_is_one_sentence(words, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert main(words) == 1
    assert sentence in capsys.readouterr().err


def test_an_evaluation_that_is_damaged_or_of_another_bundle_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evaluation/snake").mkdir(parents=True)
    file = tmp_path / "evaluation/snake/evaluation.json"
    file.write_text(json.dumps({"bundle": "pong", "one_step": {}}))
    assert read_evaluation(ReportConfig("snake")) is None
    file.write_text("{")
    with pytest.raises(ValueError, match="is damaged .* evaluate the bundle again"):
        read_evaluation(ReportConfig("snake"))


def test_an_evaluation_of_other_weights_is_not_shown_as_that_of_the_bundle(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "evaluation/snake/evaluation.json"
    file.parent.mkdir(parents=True)
    figures = {"bundle": "snake", "one_step": {}, "weights": weights_fingerprint("snake")}
    file.write_text(json.dumps(figures))
    assert read_evaluation(ReportConfig("snake"))
    file.write_text(json.dumps({**figures, "weights": "0" * 64}))
    assert read_evaluation(ReportConfig("snake")) is None
    assert "other weights than the bundle has now; it is left out" in capsys.readouterr().err
    assert read_evaluation(ReportConfig("snake", str(file.parent)))  # it was asked for
    assert "other weights" in capsys.readouterr().err
