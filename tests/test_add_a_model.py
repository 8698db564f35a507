"""A family of one's own, in one file and one row: every block of docs/add_a_model.md is run."""

import importlib
import re
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from collectors.recording.collect import collect
from world_models.bundles.bundle import load_bundle
from world_models.models.chance import ChanceModel
from world_models.models.table import FAMILIES, add_family
from world_models.testing import WorldModelContract

PAGE = (Path(__file__).parents[1] / "docs" / "add_a_model.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """What the blocks define, run in order in a folder with a small dataset."""
    folder, before = tmp_path_factory.mktemp("model"), list(FAMILIES)
    data = folder / "data" / "snake"
    collect("RealSnake-v0", data, frames=400, policy="random", workers=1, seed=0, shard_steps=200)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        found: dict = {}
        for block in BLOCKS:
            file = re.match(r"# (\w+\.py)\n", block)
            if file:
                (folder / file[1]).write_text(block)
                importlib.invalidate_caches()
            else:
                exec(compile(block, "docs/add_a_model.md", "exec"), found)
        yield found
    FAMILIES[:] = before
    sys.modules.pop("tiny_model", None)


def test_it_was_trained_into_a_bundle_that_dreams(names):
    model = load_bundle(names["bundle"]).model
    assert type(model) is names["TinyModel"] and model.config == names["TinyConfig"]()
    assert names["frame"].shape == (64, 64, 3) and names["frame"].dtype == np.uint8
    assert isinstance(names["env"], gym.Env) and 0 <= names["info"]["trust"] <= 1


def test_it_keeps_the_contract(names):
    contract = names["TestTiny"]()
    tests = [name for name in dir(WorldModelContract) if name.startswith("test_")]
    assert len(tests) == 10
    for name in tests:
        getattr(contract, name)()


def test_a_kind_that_another_family_has_is_refused():
    with pytest.raises(ValueError, match="the kind 'chance' or the config of ChanceModel"):
        add_family(type("Other", (ChanceModel,), {}))
