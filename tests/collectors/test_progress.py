"""One bar over phases: loops inside move it by their share."""

import pytest

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


def test_an_error_inside_ends_the_bar_and_the_next_loop_has_its_own():
    with pytest.raises(KeyError), OverallProgress({"one": 1}) as overall:
        overall.phase("one")
        raise KeyError
    list(progress(range(3)))
    assert overall.reached == 0
