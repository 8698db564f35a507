"""The counting double under the bundle name "counting", so that gym.make, specs and pickles find it."""

from __future__ import annotations

import pytest

from neural_envs import bundles
from tests.oracles import counting_bundle


@pytest.fixture
def counting(monkeypatch):
    """The name of a bundle of the counting model."""
    bundle, load = counting_bundle(), bundles.load
    monkeypatch.setattr(
        bundles, "load", lambda name, device="cpu": bundle if name == "counting" else load(name, device)
    )
    return "counting"
