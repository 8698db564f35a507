import numpy as np
import pytest

from agents.experiments.transfer_report import (
    has_learned,
    transfer_line,
    transfer_score,
    write_plots,
)


def test_transfer_is_the_share_of_the_real_learning():
    assert transfer_score(dream=7, real=9, random=-1) == pytest.approx(0.8)
    assert transfer_score(dream=-1, real=9, random=-1) == 0
    assert np.isnan(transfer_score(dream=5, real=1, random=1))


def test_seeds_that_lie_too_far_apart_are_not_called_nothing_learned():
    random = {"return_by_run": [[-1.0, -0.9, -0.9]]}
    real = {"return_by_run": [[7.51, 18.23, 0.88]]}
    line = transfer_line({"learned": False, "real": real, "random": random})
    assert line == (
        "transfer: none, for the real game's returns of 3 PPO seeds, 0.88 to 18.23, lie too far "
        "apart to tell what it taught; give more --seeds"
    )
    nothing = {"return_by_run": [[7.51, 18.23, -0.95]]}
    assert "taught nothing" in transfer_line({"learned": False, "real": nothing, "random": random})


def test_learned_means_separated_intervals_over_runs_where_there_are_any():
    random = {"return_ci": [-1.0, 0.0]}
    assert has_learned({"return_ci": [0.1, 9.0], "return_games_ci": [-1, 9]}, random)
    assert not has_learned({"return_ci": [-0.1, 9.0], "return_games_ci": [1, 9]}, random)
    assert has_learned({"return_ci": None, "return_games_ci": [1, 9]}, random)
    assert not has_learned({"return_ci": None, "return_games_ci": [0, 9]}, random)


def test_a_ratio_whose_interval_has_no_end_is_printed_with_the_remedy():
    result = {"learned": True, "transfer": 0.9, "transfer_ci": None, "dream": {"runs": 2}}
    assert transfer_line(result) == "transfer 0.900 (its interval has no end: give more --seeds)"


def test_plots_show_intervals_where_there_are_any(tmp_path):
    def drawn(span):
        row = {"dreamed": 2.0, "dreamed_ci": span, "real": 1.0, "real_ci": span}
        found = {"by_step": [row] * 3, "by_horizon": [row] * 3}
        about = {"world": "snake", "budget_steps": 10, "safe_horizon": 8}
        write_plots(tmp_path, {**about, "exploitation": found})
        return (tmp_path / "exploitation.png").read_bytes()

    assert drawn([0.0, 3.0]) != drawn([0.5, 3.0]) != drawn(None)
    write_plots(tmp_path / "nowhere", {"exploitation": None})
    assert not (tmp_path / "nowhere").exists()
