"""Goals that no game could meet, or that too few samples decide, are not set."""

import pytest

from agents.results.figures import find_figure
from agents.results.goals import targets_of
from agents.results.released import with_trust_of_dreams
from agents.results.scorecard import Given, rows

ENDS = {"value": 0.6, "dream": {"value": 0.6}, "real": {"value": 0.55}}


@pytest.mark.parametrize(
    ("measured_by", "bound"), [("termination of finished games", None), ("rules", 0.98)]
)
def test_the_share_of_games_that_end_has_a_bound_only_where_rules_say_what_an_end_is(
    measured_by, bound
):
    game = {"random": {"ends_by_the_rules": {**ENDS, "measured_by": measured_by}}}
    found = rows("coinrun", [Given("a", {"game": game})])
    row = next(row for row in found if row.target.title == "games end by the rules: random")
    assert row.target.least == bound and row.passed is (None if bound is None else False)
    assert row.figure.value == 0.6
    assert row.figure.pair == ((0.6, 0.55) if bound is None else None)


def test_a_handful_of_wrong_frames_gives_no_auroc_and_says_how_many():
    trust = {"auroc": 0.5, "wrong": 1, "samples": 10_000}
    found = with_trust_of_dreams({"trust": trust | {"by_motion": trust}})
    for path in ("trust.auroc", "trust.of_dreams.auroc", "trust.by_motion.auroc"):
        assert find_figure(found, path) is None
    assert found["trust"]["auroc"]["omitted"].startswith("10 000 frames hold 1 wrong")


def test_a_figure_stands_beside_what_chance_gives():
    figures = {"decisions": {"regret": {"value": 0.25, "samples": 9}, "regret_by_chance": 0.5}}
    assert find_figure(figures, "decisions.regret").beside == {"by chance": 0.5}


def test_food_after_meals_is_a_goal_under_every_player():
    played = {name: {"one_food_after_eating": 1.0, "eaten": 9} for name in ("random", "equivalent")}
    found = {row.target.title: row for row in rows("snake", [Given("a", {"survival": played})])}
    for name in played:
        assert found[f"food after every meal of a dream: {name}"].figure.samples == 9
    assert any(target.least == 0.995 for target in targets_of("snake"))
