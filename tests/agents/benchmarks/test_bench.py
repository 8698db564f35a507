"""The comparison networks are the published ones to the last parameter; figures add up; the command
writes them.
"""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from agents.benchmarks import backends as backend_timing
from agents.benchmarks import bench, peaks, reference_models, timing
from agents.benchmarks import ppo as ppo_timing
from agents.benchmarks.backends import backend_lines, backend_report, backend_subjects
from agents.benchmarks.bench_lines import ppo_lines
from neural_envs.backends.errors import BackendError, ExportError
from tests.neural_envs.test_dream_actions import SPACES, bundle_of
from world_models.bundles.bundle import load_bundle, save_bundle
from world_models.bundles.contexts import Contexts
from world_models.diffusion.objectives import Regression
from world_models.diffusion.samplers import Direct
from world_models.models.chance import ChanceConfig, ChanceModel
from world_models.models.diffusion import DiffusionConfig, DiffusionModel
from world_models.networks.grid import GridConfig
from world_models.protocols import WorldSpec


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.fixture
def tiny_bundle(tmp_path):
    spec = WorldSpec("tiny", (16, 16, 3), ("left", "right"), (-1.0, 0.0, 1.0), 10, 50)
    model = ChanceModel(spec, ChanceConfig(GridConfig(width=8, encoder_depth=1, decoder_depth=1)))
    shape = (3, model.context_length)
    contexts = Contexts(
        np.zeros((*shape, 16, 16, 3), np.uint8), np.zeros((3, model.context_length - 1), np.int64)
    )
    save_bundle(tmp_path / "tiny", model, contexts, {}, {})
    return tmp_path / "tiny"


def test_each_bundle_is_timed_with_the_sampler_steps_that_it_takes(tiny_bundle):
    spec = load_bundle(tiny_bundle).model.spec
    grid = GridConfig(width=8, encoder_depth=1, decoder_depth=1)
    sampled = DiffusionModel(spec, DiffusionConfig(grid))
    direct = DiffusionModel(spec, DiffusionConfig(grid, Regression(), Direct()))
    assert bench.own_steps(load_bundle(tiny_bundle).model, (1, 2)) == (None,)
    assert bench.own_steps(sampled, (1, 5)) == (1, 5)
    assert bench.own_steps(direct, (1, 2, 3)) == (None,)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_a_frame_is_counted_whatever_the_parts_of_its_action(space, monkeypatch):
    monkeypatch.setattr(bench.bundles, "load", lambda name: bundle_of(space))
    assert bench.bundle_macs("of parts", None) > 0


def giga_macs(call) -> float:
    return timing.macs(call) / 1e9


@pytest.mark.parametrize("actions", [3, 4, 18])
def test_diamonds_networks_have_the_published_number_of_parameters(actions):
    assert parameters(reference_models.DiamondDenoiser(actions)) == 4_405_699 + 64 * actions
    assert parameters(reference_models.DiamondRewardEnd(actions)) == 5_900_352 + 128 * actions


def test_the_snake_unet_has_the_published_number_of_parameters():
    with torch.device("meta"):
        assert parameters(reference_models.SnakePixelUNet()) == 53_283_843


def test_a_diamond_frame_takes_the_published_arithmetic():
    denoiser, outcome = reference_models.DiamondDenoiser(), reference_models.DiamondRewardEnd()
    frame, past = torch.zeros(1, 3, 64, 64), torch.zeros(1, 12, 64, 64)
    actions = torch.zeros(1, 4, dtype=torch.int64)
    assert giga_macs(lambda: denoiser(frame, past, actions, 5.0)) == pytest.approx(3.04, rel=0.01)
    assert giga_macs(lambda: outcome(frame, frame, actions[:, 0])) == pytest.approx(0.23, rel=0.03)


def test_diamond_dreams_go_on_with_finite_quantised_frames():
    parts = (
        reference_models.DiamondDenoiser(channels=32).eval(),
        reference_models.DiamondRewardEnd().eval(),
    )
    dreams = reference_models.diamond_dreams(2, *parts)
    with torch.inference_mode():
        frames = [next(dreams) for _ in range(2)]
    assert all(frame.shape == (2, 3, 64, 64) and frame.isfinite().all() for frame in frames)
    assert not torch.equal(*frames)


def test_euler_steps_end_on_a_denoiser_that_knows_the_answer():
    answer = torch.full((1, 3, 4, 4), 0.25)
    calls = []
    found = reference_models.euler(
        reference_models.DIAMOND_LEVELS,
        torch.ones(1, 3, 4, 4),
        lambda x, s: calls.append(s) or answer,
    )
    assert torch.allclose(found, answer, atol=1e-6) and calls == [5.0, 0.2831, 0.002]


def test_guidance_costs_a_second_forward_at_every_step():
    calls = []

    def network(noisy, past, action, sigma):
        calls.append(float(action.sum()))
        return noisy

    assert next(reference_models.snake_dreams(2, network)).shape == (2, 3, 64, 64)
    assert calls == [0, 2] * 3


def test_macs_of_a_linear_layer_are_its_weights():
    layer = nn.Linear(30, 20)
    assert timing.macs(lambda: layer(torch.zeros(1, 30))) == 600


def test_a_rate_is_work_over_time_and_makes_at_least_one_call():
    calls = []
    assert timing.rate(lambda: calls.append(0) or 5, seconds=0) > 0
    assert len(calls) == 1


def test_rounds_take_turns_after_one_warm_up_each():
    order = []
    subjects = {name: (lambda name=name: order.append(name) or 1) for name in "ab"}
    rates = timing.rates_in_turn(subjects, rounds=2, seconds=0)
    assert order == list("ab" * 3) and [len(rates[name]) for name in "ab"] == [2, 2]


def test_ratios_are_taken_within_a_round_at_equal_lanes():
    rates = {
        ("snake", 1, 1): [100, 10, 90],
        ("snake", 64, 1): [7, 7, 7],
        ("diamond", 1, 3): [4, 0.4, 3],
    }
    assert bench.ratios(["snake"], rates) == {"diamond": {"snake": {1: {1: 25}}}}


def test_the_real_game_is_stepped_a_thousand_times_a_call():
    assert timing.real_env("collectors:RealSnake-v0", observation="grid")() == 1000


def test_the_command_writes_every_figure(tiny_bundle, tmp_path, capsys):
    words = [
        "--bundles",
        str(tiny_bundle),
        "--lanes",
        "1,2",
        "--diamond-lanes",
        "1",
        "--snake-unet-lanes",
        "",
        "--rounds",
        "1",
        "--backends",
        "",
    ]
    words += [
        "--seconds",
        "0",
        "--data",
        str(tmp_path / "none"),
        "--memory-lanes",
        "2",
        "--out",
        str(tmp_path / "b.json"),
    ]
    assert bench.main(words) == 0
    figures = json.loads((tmp_path / "b.json").read_text())
    (own,) = figures["bundles"].values()
    assert set(own["frames_per_second"]) == {"1", "2"} and own["frames_per_second"]["1"]["1"] > 0
    assert own["macs_per_frame"]["1"] > 0 and own["startup"]["peak_memory_mib"] > 50
    assert own["startup"]["import_without_torch"] is True
    assert figures["references"]["diamond"]["parameters"] == 4_405_955 + 5_900_864
    assert figures["references"]["diamond"]["macs_per_frame"] == pytest.approx(9.36e9, rel=0.01)
    assert figures["ratios"]["diamond"][str(tiny_bundle)]["1"]["1"] > 1
    assert figures["per_second"]["real_env_steps_grid"] > 1000
    assert (
        figures["per_second"]["training_samples"]
        is None
        is figures["per_second"]["dataset_read_samples"]
    )
    printed, error = capsys.readouterr()
    assert "frames/s" in printed and "speed over that of diamond: 1 lane: " in printed
    assert error.startswith("timing 1 bundle, 1 round of 0 s for each")


def test_a_backends_gain_is_a_ratio_of_rates_of_the_same_round():
    rates = {
        ("backend", "a", "eager", 1): [10.0, 20.0, 5.0],
        ("backend", "a", "onnx", 1): [20.0, 30.0, 15.0],
    }
    report = backend_report(rates, {"a": 3}, {"float32": 600.0})
    expected = {"frames_per_second": 20.0, "ratio_to_eager": 2.0, "share_of_peak": 0.1}
    assert report["a"]["onnx"][1] == expected
    assert report["a"]["eager"][1]["ratio_to_eager"] == 1 and backend_report({}, {}, {}) == {}
    (line,) = backend_lines(report)
    assert line.split()[:4] == ["a", "1", "lanes", "onnx"]
    assert line.endswith("  20.0 frames/s, 2.00x eager, 10 % of the peak")


def test_a_backend_stands_beside_the_diamond_sized_model_of_as_many_lanes():
    rates = {("backend", "a", "eager", n): [10.0, 30.0, 20.0] for n in (1, 64)}
    report = backend_report(rates, {"a": 3}, {}, {64: [2.0, 3.0, 10.0]})["a"]["eager"]
    assert report[64]["ratio_to_diamond"] == 5 and "ratio_to_diamond" not in report[1]


def test_a_row_of_auto_says_what_ran_and_takes_no_share_of_a_peak():
    rates = {("backend", "a", name, 1): [10.0] for name in ("eager", "auto")}
    peak, diamond = {"float32": 300.0}, {1: [0.4]}
    runs = {key: "openvino-bf16" if key[2] == "auto" else key[2] for key in rates}
    report = backend_report(rates, {"a": 3}, peak, diamond, runs)
    expected = {"frames_per_second": 10.0, "ratio_to_eager": 1.0, "ratio_to_diamond": 25.0}
    assert report["a"]["auto"][1] == {**expected, "runs": "openvino-bf16"}
    assert report["a"]["eager"][1] == {**expected, "share_of_peak": 0.1}
    (line,) = backend_lines(report)
    assert line.endswith(" 1.00x eager, 25x DIAMOND-sized, run by openvino-bf16")


@pytest.mark.parametrize(
    "asked, ran, share",
    [
        ("eager", "eager", 0.25),
        ("openvino-bf16", "openvino-bf16", 0.125),
        ("openvino-bf16", "eager", 0.25),  # refused
        ("auto", "openvino-bf16", None),
    ],
)
def test_a_dreams_share_is_of_the_peak_of_what_ran_and_of_auto_there_is_none(
    asked, ran, share, monkeypatch
):
    monkeypatch.setattr(bench.bundles, "load", lambda name: bundle_of(SPACES[0]))
    monkeypatch.setattr(bench, "bundle_macs", lambda name, steps: 5)
    peaks_of_both = {"float32": 200.0, "bfloat16": 400.0}
    rates, runs = {("a", 2, 1): [10.0], ("diamond", 1, 3): [1.0]}, {("a", 2, 1): ran}
    found = bench.bundle_report("a", rates, peaks_of_both, runs, asked)
    assert found["runs"] == {2: {1: ran}} and found["frames_per_second"] == {2: {1: 10.0}}
    assert found["share_of_convolution_peak"] == ({} if share is None else {2: {1: share}})


def running(backend):
    return SimpleNamespace(backend=backend)


def test_backends_of_another_device_are_not_tried(monkeypatch):
    tried = []
    monkeypatch.setattr(
        backend_timing, "dream", lambda *words: tried.append(words) or running(words[3])
    )
    every = ("onnx", "openvino", "openvino-bf16", "cuda-graph", "auto")
    backend_subjects(["a"], every, (1,))
    assert {words[3] for words in tried} == {"eager", *every} - {"cuda-graph"}
    tried.clear()
    backend_subjects(["a"], every, (1,), "cuda")
    assert {words[3:] for words in tried} == {(n, "cuda") for n in ("eager", "cuda-graph", "auto")}


def test_a_device_that_is_not_there_is_named_before_anything_is_timed(tmp_path, capsys):
    assert bench.main(["--device", "cuda:63", "--out", str(tmp_path / "b.json")]) == 1
    assert "'cuda:63' cannot be used here" in capsys.readouterr().err


def test_a_share_is_one_of_the_peak_in_what_a_backend_computes_in():
    rates = {("backend", "a", name, 1): [10.0] for name in ("eager", "openvino-bf16")}
    both = backend_report(rates, {"a": 3}, {"float32": 300.0, "bfloat16": 600.0})["a"]
    assert [both[name][1]["share_of_peak"] for name in both] == [0.1, 0.05]
    one = backend_report(rates, {"a": 3}, {"float32": 300.0})["a"]
    assert "share_of_peak" not in one["openvino-bf16"][1]


@pytest.mark.parametrize("has", [True, False])
def test_the_peak_in_bfloat16_is_measured_where_the_processor_computes_in_it(has, monkeypatch):
    monkeypatch.setattr(peaks, "processor_has_bfloat16", lambda: has)
    subjects = peaks.peak_subjects()
    assert [key[1] for key in subjects] == ["float32", "bfloat16"][: 1 + has]
    rates = {**{key: [1.0, 3.0] for key in subjects}, ("other", 1): [2.0]}
    assert peaks.peaks_of(rates)["float32"] == 3.0 and list(rates) == [("other", 1)]
    assert peaks.convolution_peak(lanes=1, channels=2)() == 2 * 2 * 9 * 64 * 64


def test_no_backend_is_timed_unless_asked_for_and_unknown_ones_are_refused():
    assert backend_subjects(["snake"], (), (1,)) == {}
    with pytest.raises(BackendError, match="got 'tpu'"):
        backend_subjects(["snake"], ("tpu",), (1,))


def test_a_backend_that_is_missing_or_refused_is_left_out_with_a_line(monkeypatch, capsys):
    class Fake:
        def __init__(self, name, lanes, steps, backend, device):
            if backend == "onnx":
                raise ExportError("backend='onnx' needs onnx")
            self.backend = "eager" if backend == "compile" else backend

    monkeypatch.setattr(backend_timing, "dream", Fake)
    found = backend_subjects(["a"], ("onnx", "compile", "openvino"), (1,))
    assert {key[2] for key in found} == {"openvino", "eager"}
    assert "a is not timed at 1 lanes: backend='onnx' needs onnx" in capsys.readouterr().out


def test_ppo_is_timed_in_the_dream_and_in_the_real_game(monkeypatch):
    runs = []
    monkeypatch.setattr(ppo_timing, "train_ppo", lambda config: runs.append(config))
    report = ppo_timing.ppo_report(["snake"], 64, 2, "eager")
    assert [(run.world, run.steps) for run in runs[1:]] == [("dream", 64), ("real", 64)] * 2
    assert report["snake"]["ratio"] > 0 and "in the real game" in ppo_lines(report)[0]
