"""The table of docs/speed.md says what a file of `bench` says, and nothing where there is none."""

import json

import pytest

from agents.results.speed_table import NONE, speed_table

MADE = {
    "command": "neural-envs bench",
    "commit": "0",
    "date": "2026-11-26",
    "machine": {"processor": "x86_64", "vectors": "AVX512", "cores": 1, "threads": 1},
}


def test_each_backend_is_a_ratio_to_eager_of_the_same_run(tmp_path, monkeypatch):
    monkeypatch.setattr("agents.results.speed_table.weights_fingerprint", lambda *_: "now")
    row = {"frames_per_second": 700.4, "ratio_to_eager": 1.0, "share_of_peak": 0.25}
    auto = {"frames_per_second": 700.4, "runs": "onnx"}
    figures = {
        "made": MADE,
        "weights": {"a": "now", "b": "before"},
        "machine": {"threads": 1},
        "convolution_peak_gmac_per_second": {"float32": 95.2, "bfloat16": 180.0},
        "ppo": {"a": {"steps": 9, "dream_seconds": 2.4, "real_seconds": 2.0, "ratio": 1.2}},
        "backends": {
            "a": {
                "eager": {"1": {**row, "ratio_to_diamond": 70.9}},
                "onnx": {"1": {**row, "ratio_to_eager": 1.5}},
                "auto": {"1": {**auto, "ratio_to_eager": 2.5, "ratio_to_diamond": 190.2}},
            },
            "b": {"eager": {"64": row}, "openvino": {"64": {**row, "ratio_to_eager": 2.25}}},
        },
    }
    file = tmp_path / "bench.json"
    file.write_text(json.dumps(figures))
    lines = speed_table(file).splitlines()
    named = ("`onnx`", "`auto`", "`openvino`", "/ DIAMOND-sized")
    assert lines[0] == f"| bundle, lanes | eager, frames/s | of the peak | {' | '.join(named)} |"
    assert lines[2] == "| `a`, 1 | 700 | 25 % | 1.50 (25 %) | 2.50 (`onnx`) | - | 71, `auto` 190 |"
    assert lines[3] == "| `b†`, 64 | 700 | 25 % | - | - | 2.25 (25 %) | - |"
    assert "† of weights or a sampler from before" in lines[5]
    assert "95 in float32, 180 in bfloat16" in lines[7]
    assert "in bfloat16, behind `auto` what it took. From" in lines[7]
    assert "`neural-envs bench` (2026-11-26, AVX512, 1 threads)" in lines[7]
    assert lines[-1] == "| `a` | 2 s | 2 s | 1.20 |" and "9 steps" in lines[-3]


def test_a_file_without_backends_is_no_table(tmp_path):
    assert speed_table(tmp_path / "none.json") == NONE
    (tmp_path / "bench.json").write_text(json.dumps({"made": MADE, "weights": {}}))
    assert speed_table(tmp_path / "bench.json") == NONE


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"made": {}, "weights": {}}'])
def test_a_damaged_file_is_a_sentence_with_its_remedy(tmp_path, text):
    (tmp_path / "speed.json").write_text(text)
    with pytest.raises(ValueError, match=r"speed.json (is damaged|does not say).*measure again"):
        speed_table(tmp_path / "speed.json")
