"""The package: what is in the wheel, and that it stays small."""

import hashlib
import subprocess
import sys
import tomllib
import zipfile
from collections import defaultdict

import pytest

from neural_envs.bundles import NOT_PACKAGED
from tests.source_tree import ROOT

MOST_BYTES = 20e6
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def packaged():
    """The files that setuptools puts into the wheel, by the patterns of pyproject.toml."""
    found = set()
    for package, patterns in SETUPTOOLS["package-data"].items():
        found |= {file for pattern in patterns for file in (ROOT / package).glob(pattern)}
        found |= set((ROOT / package).rglob("*.py"))
    for package, patterns in SETUPTOOLS["exclude-package-data"].items():
        found -= {file for pattern in patterns for file in (ROOT / package).glob(pattern)}
    return {file for file in found if file.is_file()}


def test_the_files_of_the_package_have_less_than_20_mb():
    sizes = {str(file.relative_to(ROOT)): file.stat().st_size for file in packaged()}
    largest = sorted(sizes, key=lambda name: -sizes[name])[:8]
    assert sum(sizes.values()) < MOST_BYTES, (
        f"{sum(sizes.values()) / 1e6:.1f} MB; the largest are {largest}: put a bundle that is no "
        "default into NOT_PACKAGED and exclude-package-data"
    )


def test_no_large_file_is_packaged_twice():
    equal = defaultdict(list)
    for file in packaged():
        if file.stat().st_size > 100_000:
            equal[hashlib.sha256(file.read_bytes()).hexdigest()].append(file)
    twice = [files for files in equal.values() if len(files) > 1]
    assert not twice, "run world_models.bundles.shared_contexts.share_contexts on the bundles"


def test_the_bundles_that_are_not_packaged_are_those_that_the_package_names():
    excluded = SETUPTOOLS["exclude-package-data"]["neural_envs"]
    assert excluded == [f"bundles/{name}/*" for name in NOT_PACKAGED]
    assert all((ROOT / "neural_envs" / "bundles" / name).is_dir() for name in NOT_PACKAGED)


@pytest.mark.slow
def test_the_wheel_that_is_built_is_small_and_has_what_is_listed(tmp_path):
    source = tmp_path / "source"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0"):
        if (file := ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(file.read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", str(source), "--no-deps", "--quiet"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert wheel.stat().st_size < MOST_BYTES
    assert names == {str(file.relative_to(ROOT)) for file in packaged()}
