import json
import shutil

import numpy as np
import pytest
import torch
from conftest_models import CONFIGS, make_context, make_contexts, make_model
from safetensors.torch import load_file, save_file

from world_models.bundles import BundleError
from world_models.bundles.bundle import load_bundle, save_bundle, update_scores
from world_models.noise import NoiseStream


@pytest.fixture
def saved(tmp_path):
    model = make_model("chance")
    save_bundle(tmp_path / "b", model, make_contexts(model), {"command": "test"}, {})
    return tmp_path / "b"


@pytest.mark.parametrize("name", CONFIGS)
def test_a_loaded_bundle_dreams_what_was_saved(tmp_path, name):
    model = make_model(name)
    model.load_state_dict(
        {k: value.half().float() for k, value in model.state_dict().items()}
    )  # as bundles keep them
    save_bundle(tmp_path, model, make_contexts(model), {}, {})
    loaded = load_bundle(tmp_path).model
    noise, action = NoiseStream.from_seeds(torch.arange(2)), torch.tensor([0, 1])
    frames = [m.step(m.init(make_context(m, 2)), action, noise).frame for m in (model, loaded)]
    assert torch.equal(*frames) and loaded.config == model.config and loaded.spec == model.spec


def test_parts_that_may_be_of_several_kinds_are_stored_with_their_kind(tmp_path):
    model = make_model("eqm")
    save_bundle(tmp_path, model, make_contexts(model), {}, {})
    stored = json.loads((tmp_path / "config.json").read_text())["model"]
    assert [stored[part]["type"] for part in ("network", "objective", "sampler")] == [
        "grid",
        "eqm",
        "descent",
    ]
    assert "type" not in stored["chance"]


def test_no_file_of_a_bundle_holds_a_pickle(saved):
    assert sorted(p.name for p in saved.iterdir()) == [
        "README.md",
        "config.json",
        "contexts.npz",
        "model.safetensors",
    ]
    with np.load(saved / "contexts.npz", allow_pickle=False) as arrays:
        assert arrays["frames"].dtype == np.uint8


def test_scores_are_written_into_the_config_and_the_card(saved):
    update_scores(saved, {"transition_exact_rate": 0.5})
    assert load_bundle(saved).config["scores"] == {"transition_exact_rate": 0.5}
    assert "transition_exact_rate: 0.5" in (saved / "README.md").read_text()


def change_config(path, **changes):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **changes}))


def change_part(path, part, **changes):
    """Makes the bundle one of a composed model and changes one part of it."""
    model = make_model("diffusion")
    save_bundle(path, model, make_contexts(model), {}, {})
    composed = json.loads((path / "config.json").read_text())["model"]
    change_config(path, model={**composed, part: {**composed[part], **changes}})


def change_weights(path, change):
    weights = load_file(path / "model.safetensors")
    save_file(change(dict(weights)), path / "model.safetensors")


def without_one(weights):
    weights.pop("chance.prior.1.bias")
    return weights


DAMAGE = {
    "no config.json": lambda p: (p / "config.json").unlink(),
    "damaged": lambda p: (p / "config.json").write_text("{"),
    "newer than": lambda p: change_config(p, format_version=99),
    "unknown keys": lambda p: change_config(p, surprise=1),
    "kind": lambda p: change_config(p, kind="oracle"),
    "missing keys": lambda p: change_config(p, model={"grid": {}}),
    "network is of type 'lookup'; this package knows": lambda p: change_part(
        p, "network", type="lookup"
    ),
    "objective is of type None; this package knows": lambda p: change_part(
        p, "objective", type=None
    ),
    "sampler is of type 'edm'; this package knows": lambda p: change_part(p, "sampler", type="edm"),
    "unknown keys .'speed'": lambda p: change_part(p, "sampler", speed=3),
    "objective edm is sampled by euler": lambda p: change_part(
        p, "sampler", type="direct", steps=1
    ),
    "world spec": lambda p: change_config(p, spec={"world": "snake"}),
    "missing tensors": lambda p: change_weights(p, without_one),
    "unknown tensors": lambda p: change_weights(p, lambda w: {**w, "extra": torch.zeros(1)}),
    "shape": lambda p: change_weights(p, lambda w: {**w, "chance.prior.1.bias": torch.zeros(7)}),
    "model.safetensors is damaged": lambda p: (p / "model.safetensors").write_bytes(b"x" * 100),
    "model.safetensors is missing": lambda p: (p / "model.safetensors").unlink(),
    "contexts of shape": lambda p: np.savez(
        p / "contexts.npz", frames=np.zeros((2, 3), np.uint8), actions=np.zeros((2, 1))
    ),
    "contexts.npz is damaged": lambda p: (p / "contexts.npz").write_bytes(b"x" * 100),
}


@pytest.mark.parametrize("sentence", DAMAGE)
def test_a_damaged_bundle_is_refused_with_a_sentence(saved, tmp_path, sentence):
    broken = shutil.copytree(saved, tmp_path / "broken")
    DAMAGE[sentence](broken)
    with pytest.raises(BundleError, match=sentence):
        load_bundle(broken)
