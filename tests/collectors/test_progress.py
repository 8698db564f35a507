"""One bar over phases, whose loops move it by their share; lines where there is no terminal."""

import pytest

from collectors import progress as module
from collectors.progress import OverallProgress, progress


def test_loops_move_the_overall_bar_by_their_share_and_a_new_phase_completes_the_last():
    with OverallProgress({"one": 10, "two": 30}) as overall:
        overall.phase("one", loops=2)
        assert list(progress(range(5))) == [0, 1, 2, 3, 4]
        assert overall.reached == pytest.approx(5)
        overall.phase("two")
        assert overall.reached == pytest.approx(10)
        bar = progress(total=4)
        bar.update(3)
        assert overall.reached == pytest.approx(10 + 22.5)
        bar.update(9)  # more than was announced does not leave the phase
        assert overall.reached == pytest.approx(40)
    assert list(progress(range(2))) == [0, 1] and overall.reached == 40


def test_a_bar_of_phases_within_another_moves_it_by_its_share():
    with OverallProgress({"outer": 10, "rest": 10}) as overall:
        overall.phase("outer", loops=2)
        with OverallProgress({"inner": 1, "other": 3}) as inside:
            inside.phase("inner")
            list(progress(range(5)))
            assert overall.reached == pytest.approx(5 / 4)
        assert overall.reached == pytest.approx(5)


@pytest.mark.parametrize("terminal", [True, False])
def test_on_a_terminal_a_command_says_at_once_that_it_is_starting(terminal, monkeypatch, capsys):
    monkeypatch.setattr(module, "on_terminal", lambda: terminal)
    with module.starting("starting ..."):
        assert capsys.readouterr().err == ("starting ..." if terminal else "")


def test_an_error_inside_ends_the_bar_and_the_next_loop_has_its_own():
    with pytest.raises(KeyError), OverallProgress({"one": 1}) as overall:
        overall.phase("one")
        raise KeyError
    list(progress(range(3)))
    assert overall.reached == 0


def test_in_a_pipe_a_loop_is_a_line_now_and_then(monkeypatch, capsys):
    clock = iter(range(0, 10_000, 25))
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    assert list(progress(range(10), desc="games")) == list(range(10))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "games: 30% done, 01:15 so far, about 02:55 left" and len(lines) == 3


def test_what_was_done_before_tells_no_rate(monkeypatch, capsys):
    clock = iter(range(0, 10_000, 25))
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    bar = progress(total=100, desc="train", initial=90)
    for _ in range(3):
        bar.update(1)
    assert capsys.readouterr().err == "train: 93% done, 01:15 so far, about 02:55 left\n"


def test_a_short_loop_in_a_pipe_is_silent(capsys):
    list(progress(range(10), desc="games"))
    assert capsys.readouterr().err == ""
