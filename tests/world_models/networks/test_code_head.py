"""Codes are written in digits: alike in torch, in a graph, and by runtimes that round."""

import importlib.util

import pytest
import torch

from neural_envs.backends import runtimes
from neural_envs.backends.graph_files import write_graph
from world_models.networks.code_head import CodeEmbedding, digits_of

SIZES = (64,) * 5  # 30 bits: more than float32 holds exactly


class Digits(torch.nn.Module):
    """The digits of codes, one row each."""

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        return torch.stack(digits_of(codes, SIZES))


def codes() -> torch.Tensor:
    """Random ones, those about every digit's first change, the largest ones, and the mask's."""
    most = 64**5
    about = torch.cat([64**power * (1 + torch.arange(3))[:, None] for power in range(5)])
    near = (about + torch.arange(-40, 41)).flatten()
    drawn = torch.randint(most, (3000,))
    return torch.cat((drawn, near.clamp(0, most), most - torch.arange(100)))


def test_digits_write_the_code_and_only_the_mask_s_first_one_is_out_of_range():
    given = codes()
    found, value = torch.stack(digits_of(given, SIZES)), torch.zeros_like(given)
    for digit in found:
        value = 64 * value + digit
    assert torch.equal(value, given)
    assert ((found[0] == 64) == (given == 64**5)).all() and (found[1:] < 64).all()


def test_in_a_graph_digits_are_the_same(monkeypatch):
    given = codes()
    expected = digits_of(given, SIZES)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    assert torch.equal(torch.stack(digits_of(given, SIZES)), torch.stack(expected))


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_runtime_tells_the_digits_of_large_codes(runtime, tmp_path):
    needed = (*runtimes.RUNTIMES["onnx"].packages, *runtimes.RUNTIMES[runtime].packages)
    if not all(importlib.util.find_spec(package) for package in needed):
        pytest.skip(f"needs {', '.join(needed)}")
    given, file = codes(), tmp_path / "digits.onnx"
    write_graph(Digits(), [given], file)
    if runtime == "onnx":
        found = runtimes.onnx_session(file)([given])[0]
    else:
        import openvino  # pyright: ignore[reportMissingImports]

        hint = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = openvino.Core().compile_model(str(file), "CPU", hint)
        found = torch.from_numpy(compiled([given.numpy()])[0])
    assert torch.equal(found, torch.stack(digits_of(given, SIZES)))


def test_a_masked_place_has_an_embedding_of_its_own_and_its_neighbors_theirs():
    embedding = CodeEmbedding((4, 5), 3)
    given = torch.tensor([[[0, 19, 20], [7, 20, 12]]])
    found = embedding.partly(given)
    masked = given == embedding.mask_code
    assert (found[masked] == embedding.mask).all()
    assert torch.equal(found[~masked], embedding(given.masked_fill(masked, 0))[~masked])
