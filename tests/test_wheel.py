"""The package: what is in the wheel, that it stays small, and that it runs where nothing else is.

`make first-hour` runs the slow ones: they build the wheel and install it.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections import defaultdict

import pytest
import torch

from neural_envs.bundles import NOT_PACKAGED
from tests.source_tree import ROOT

MOST_BYTES = 20e6
OPTIONAL = {"accelerate", "huggingface-hub", "imageio-ffmpeg", "opencv-python-headless", "pygame"}
USE = """
import gymnasium as gym
import neural_envs
for world in ("Snake", "Pong", "WorldMap", "CoinRun"):
    env = gym.make(f"Neural{world}-v0")
    env.reset(seed=0)
    for _ in range(20):
        if any(env.step(env.action_space.sample())[2:4]):
            env.reset()
envs = gym.make_vec("NeuralSnake-v0", num_envs=4)
envs.reset(seed=0)
envs.step(envs.action_space.sample())
print(neural_envs.__file__)
"""
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
    bundles = ROOT / "neural_envs" / "bundles"
    assert excluded == [*(f"bundles/{name}/*" for name in NOT_PACKAGED), "bundles/shared/*"]
    assert all((bundles / name).is_dir() for name in NOT_PACKAGED)
    sharing = {path.parent.name for path in bundles.glob("*/contexts.json")}
    assert sharing <= set(NOT_PACKAGED)  # so the package needs none of the shared contexts


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of what git tracks here."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0"):
        if (file := ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(file.read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", str(source), "--no-deps", "--quiet"]
    subprocess.run([*build, "--wheel-dir", str(folder)], check=True)
    (file,) = folder.glob("*.whl")
    return file


@pytest.mark.slow
def test_the_wheel_that_is_built_is_small_and_has_what_is_listed(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert wheel.stat().st_size < MOST_BYTES
    assert names == {str(file.relative_to(ROOT)) for file in packaged()}


@pytest.fixture
def empty_environment(tmp_path):
    """The folder of a new virtual environment, removed afterwards: torch alone has 700 MB."""
    folder = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    yield folder
    shutil.rmtree(folder)


def install_torch(pip):
    """The build of torch that runs these tests, found as the Makefile does: others are huge."""
    command = [*pip, "--retries", "1", f"torch=={torch.__version__}"]
    index = ["--extra-index-url", "https://download.pytorch.org/whl/cpu"]
    if subprocess.run(command, capture_output=True).returncode:
        subprocess.run([*command, *index], check=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_wheel_in_an_empty_environment_makes_and_steps_dreams(
    wheel, empty_environment, tmp_path
):
    python = str(empty_environment / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    install_torch(pip)
    subprocess.run([*pip, str(wheel)], check=True)
    outside = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def run(*words):
        done = subprocess.run(
            words, cwd=tmp_path, env=outside, capture_output=True, text=True, timeout=300
        )
        return done.returncode, done.stdout + done.stderr

    code, output = run(python, "-c", USE)
    assert code == 0, output
    assert output.splitlines()[-1].startswith(str(empty_environment))
    assert run(python, "-m", "neural_envs", "--version")[0] == 0
    verb = str(empty_environment / "bin" / "neural-envs")
    code, output = run(verb, "serve", "--port", "0")
    assert code == 1 and f'pip install "neural-envs[web] @ {wheel.as_uri()}"' in output
    listed = run(python, "-m", "pip", "list", "--format", "freeze")[1].lower().replace("_", "-")
    assert not OPTIONAL & set(re.findall(r"^([\w-]+)==", listed, re.MULTILINE))
