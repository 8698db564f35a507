"""The table of docs/speed.md says what a file of `bench` says, and nothing where there is none."""

import json

from agents.results.speed_table import NONE, speed_table


def test_each_backend_is_a_ratio_to_eager_of_the_same_run(tmp_path):
    row = {"frames_per_second": 700.4, "ratio_to_eager": 1.0}
    figures = {
        "made": {
            "command": "neural-envs bench",
            "date": "2026-11-26",
            "machine": {"vectors": "AVX512"},
        },
        "machine": {"threads": 1},
        "backends": {
            "a": {"eager": {"1": row}, "onnx": {"1": {**row, "ratio_to_eager": 1.5}}},
            "b": {"eager": {"64": row}, "openvino": {"64": {**row, "ratio_to_eager": 2.25}}},
        },
    }
    file = tmp_path / "bench.json"
    file.write_text(json.dumps(figures))
    lines = speed_table(file).splitlines()
    assert lines[0] == "| bundle, lanes | eager, frames/s | `onnx` | `openvino` |"
    assert lines[2:4] == ["| `a`, 1 | 700 | 1.50 | - |", "| `b`, 64 | 700 | - | 2.25 |"]
    assert "`neural-envs bench` (2026-11-26, AVX512, 1 threads)" in lines[-1]


def test_a_file_without_backends_is_no_table(tmp_path):
    assert speed_table(tmp_path / "none.json") == NONE
    (tmp_path / "bench.json").write_text("{}")
    assert speed_table(tmp_path / "bench.json") == NONE
