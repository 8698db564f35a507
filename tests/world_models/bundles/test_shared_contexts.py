"""Bundles that share their start contexts: loaded by hash, copied whole."""

import json
import shutil

import numpy as np
import pytest

from neural_envs.bundles import resolve_bundle
from world_models.bundles import BundleError
from world_models.bundles.bundle import load_bundle, migrate_bundle
from world_models.bundles.hub import HubBundle
from world_models.bundles.shared_contexts import contexts_file, share_contexts

CONTEXTS, REFERENCE = "contexts.npz", "contexts.json"


@pytest.fixture
def folder(tmp_path):
    """Two bundles with equal contexts and one with others."""
    for name in ("one", "two"):
        shutil.copytree(resolve_bundle("pong"), tmp_path / name)
    shutil.copytree(resolve_bundle("snake"), tmp_path / "other")
    return tmp_path


def test_equal_contexts_become_one_file_and_load_as_before(folder):
    before = load_bundle(folder / "one").contexts
    assert share_contexts(folder) == []  # too small to be worth it
    assert share_contexts(folder, 0) == ["one", "two"]
    kept = [name for name in ("one", "two", "other") if (folder / name / CONTEXTS).exists()]
    assert kept == ["other"]
    (shared,) = (folder / "shared").iterdir()
    assert contexts_file(folder / "one") == contexts_file(folder / "two") == shared
    np.testing.assert_array_equal(load_bundle(folder / "two").contexts.frames, before.frames)
    assert share_contexts(folder, 0) == ["one", "two"]  # again: nothing changes
    shutil.copytree(resolve_bundle("pong"), folder / "three")
    assert share_contexts(folder, 0) == ["one", "three", "two"]
    assert list((folder / "shared").iterdir()) == [shared]


def test_a_copy_and_what_is_pushed_are_whole(folder):
    original = (folder / "one" / CONTEXTS).read_bytes()
    share_contexts(folder, 0)
    migrate_bundle(folder / "one", folder / "far" / "away")
    HubBundle.from_pretrained(folder / "two").save_pretrained(folder / "saved" / "two")
    for copy in (folder / "far" / "away", folder / "saved" / "two"):
        assert (copy / CONTEXTS).read_bytes() == original and not (copy / REFERENCE).exists()
        load_bundle(copy)


def test_a_reference_that_leads_nowhere_or_to_other_contexts_is_refused(folder):
    share_contexts(folder, 0)
    alone = shutil.copytree(folder / "one", folder / "deep" / "one")
    with pytest.raises(BundleError, match="makes it whole"):
        load_bundle(alone)
    (shared,) = (folder / "shared").iterdir()
    shared.write_bytes(shared.read_bytes()[:-1])
    with pytest.raises(BundleError, match="another sha256"):
        load_bundle(folder / "one")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sha256": "../../secret"}', '{"sha256": 7}'])
def test_a_damaged_reference_is_refused(folder, text):
    share_contexts(folder, 0)
    (folder / "one" / REFERENCE).write_text(text)
    with pytest.raises(BundleError, match="contexts.json is damaged"):
        load_bundle(folder / "one")


def test_a_bundle_with_its_own_contexts_needs_no_reference(folder):
    share_contexts(folder, 0)
    migrate_bundle(folder / "one", folder / "whole")
    digest = json.loads((folder / "one" / REFERENCE).read_text())
    assert len(digest["sha256"]) == 64
    assert contexts_file(folder / "whole") == folder / "whole" / CONTEXTS
