"""The laws of `docs/architecture.md`, read from the source: which way imports point, where
randomness comes from, what may be loaded without what.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from neural_envs.cli import VERBS
from tests.source_tree import (
    FILES,
    MODULES,
    PACKAGES,
    ROOT,
    TREES,
    circles,
    closure,
    graph,
    import_strings,
    imports,
    imports_on_loading,
    within,
)

FOR_EVERYBODY = (
    "collectors.settings",
    "collectors.worlds.table",
    "collectors.worlds.default_keys",
    "collectors.worlds.lane_arguments",
    "collectors.worlds.vector_env",
    "collectors.action_space",
    "collectors.extras",
    "collectors.files",
    "collectors.spec_checks",
    "collectors.size_limits",
    "collectors.untrusted_files",
    "collectors.interrupts",
    "collectors.locks",
    "collectors.network_access",
    "collectors.media",
    "collectors.video_writers",
    "collectors.progress",
    "collectors.ray_cluster",
    "collectors.render_window",
)  # what knows nothing of games and data
READERS_OF_DATA = tuple(
    f"world_models/{name}.py"
    for name in (
        "training/clips",
        "training/run",
        "training/start_contexts",
        "training/trainer",
        "evaluation/evaluation",
        "evaluation/test_split",
    )
)
THE_EDGE = "neural_envs/cli.py"  # its table of verbs names every package; only __main__ imports it
DREAMS = ("neural_envs.env", "neural_envs.vector_env", "neural_envs.simulator")
# loaded with a dream: what is for everybody, and the ids of the real games, which are strings
GROUND_FLOOR = (*FOR_EVERYBODY, "collectors.worlds.registration")
IN_FUNCTIONS = {  # imported only when somebody asks for a real game, a policy or a recording
    "neural_envs/play/twins.py": (
        "collectors.worlds",
        "collectors.policies.policies",
        "collectors.recording.named_game",
    ),
    "neural_envs/replays/frame_sources.py": ("collectors.dataset.dataset",),
    "neural_envs/commands/record.py": (
        "collectors.dataset.dataset",
        "collectors.recording",
        "collectors.render_window",
    ),
}
EXTRAS = {"ray", "minari", "h5py", "envpool", "yaml"}  # imported where they are asked for
COLLECTORS_MAY_USE = {
    "collectors",
    "numpy",
    "gymnasium",
    "tqdm",
    "PIL",
    "cv2",
    "imageio_ffmpeg",
    "pygame",
    *EXTRAS,
    *sys.stdlib_module_names,
}
NUMPY_RANDOM_ALLOWED = {
    "default_rng",
    "Generator",
    "SeedSequence",
    "PCG64",
    "Philox",
    "BitGenerator",
}
TORCH_RANDOM = {
    "rand",
    "randn",
    "randint",
    "randperm",
    "normal",
    "bernoulli",
    "multinomial",
    "rand_like",
    "randn_like",
}


def calls(file: str) -> Iterator[tuple[str, ast.Call]]:
    """Every call in the file with the dotted text of what is called."""
    for node in ast.walk(TREES[file]):
        if isinstance(node, ast.Call) and isinstance(node.func, (ast.Attribute, ast.Name)):
            yield ast.unparse(node.func), node


def restores_the_generator(file: str, line: int) -> bool:
    """Whether the line stands in a ``with torch.random.fork_rng(...)``."""
    blocks = (node for node in ast.walk(TREES[file]) if isinstance(node, ast.With))
    forks = (node for node in blocks if any("fork_rng" in ast.unparse(item) for item in node.items))
    return any(node.lineno <= line <= (node.end_lineno or 0) for node in forks)


def fresh_python(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def to_the_right_of(file: str) -> tuple[str, ...]:
    return PACKAGES[PACKAGES.index(file.split("/")[0]) + 1 :]


def test_the_four_packages_are_there_and_marked_as_ours():
    for package in PACKAGES:
        assert "__neural_envs__ = True" in (ROOT / package / "__init__.py").read_text(), package
        assert (ROOT / package / "py.typed").is_file(), package


def test_imports_point_only_to_the_left():
    wrong = [
        (file, name)
        for file in FILES
        for name in imports(file)
        if within(name, to_the_right_of(file))
    ]
    assert wrong == []


def test_import_strings_point_only_to_the_left_but_for_the_table_of_verbs():
    wrong = [
        (file, name)
        for file in FILES
        if file != THE_EDGE
        for name in import_strings(file)
        if within(name, to_the_right_of(file))
    ]
    assert wrong == []
    importing = [file for file in FILES if "neural_envs.cli" in imports(file)]
    assert importing == ["neural_envs/__main__.py"]  # which is the command itself


def test_loading_a_dream_reaches_no_game_and_no_dataset():
    """However far away; a recording to start from (`starts=`) is opened when it is given."""
    wrong = {
        name: by
        for name, by in closure(DREAMS, graph(imports_on_loading)).items()
        if within(name, ("collectors",)) and not within(name, GROUND_FLOOR)
    }
    assert wrong == {}


def test_a_process_that_steps_dreams_has_loaded_no_game_and_no_dataset():
    code = """
import sys, gymnasium, neural_envs
for world in ("Snake", "CoinRun"):
    env = gymnasium.make(f"Neural{world}-v0")
    env.reset(seed=0)
    env.step(env.action_space.sample())
print(*(name for name in sys.modules if name.startswith("collectors.")))
"""
    loaded = {name for name in fresh_python(code).split() if not within(name, GROUND_FLOOR)}
    assert loaded <= {"collectors.worlds"}


def test_no_circle_of_modules_import_each_other_when_they_are_loaded():
    assert circles(graph(imports_on_loading)) == []


def test_only_the_data_side_of_world_models_sees_collectors_and_only_its_reader():
    wrong = []
    for file in FILES:
        allowed = FOR_EVERYBODY + (
            ("collectors.dataset.dataset",) if file in READERS_OF_DATA else ()
        )
        allowed += (
            ("collectors.worlds.snake.expert_transitions", "collectors.worlds.snake.tiles")
            if file == "world_models/training/expert_clips.py"
            else ()
        )
        if file.startswith("world_models/evaluation/worlds/"):  # a world's rules, never its game
            allowed += (f"collectors.worlds.{Path(file).stem}.rules",)
        if file.startswith(("world_models/", "neural_envs/")):
            lazily = allowed + IN_FUNCTIONS.get(file, ())
            wrong += [
                (file, name)
                for found, names in ((imports, lazily), (imports_on_loading, allowed))
                for name in found(file)
                if within(name, ("collectors",)) and not within(name, names)
            ]
    assert wrong == []


def test_only_agents_imports_stable_baselines3():
    assert {
        file.split("/")[0]
        for file in FILES
        if "stable_baselines3" in {n.split(".")[0] for n in imports(file)}
    } <= {"agents"}


def test_collectors_uses_numpy_and_gymnasium_only():
    used = {
        name.split(".")[0]
        for file in FILES
        if file.startswith("collectors/")
        for name in imports(file)
    }
    assert used - COLLECTORS_MAY_USE == set()


def breaks_the_law_of_randomness(file: str, name: str, call: ast.Call) -> bool:
    """Drawing from a global generator, making one without a seed, or seeding torch's where it is
    not put back.
    """
    last = name.rpartition(".")[2]
    if re.fullmatch(r"(np|numpy)\.random\.\w+", name) and last not in NUMPY_RANDOM_ALLOWED:
        return True
    if last == "default_rng":
        return not call.args and not call.keywords
    if name == f"torch.{last}" and last in TORCH_RANDOM:
        return not any(keyword.arg == "generator" for keyword in call.keywords)
    seeds = name in ("torch.manual_seed", "torch.seed")
    return seeds and not restores_the_generator(file, call.lineno)


def test_randomness_is_an_argument():
    wrong = [
        f"{file}:{call.lineno} {name}"
        for file in FILES
        for name, call in calls(file)
        if breaks_the_law_of_randomness(file, name, call)
    ]
    assert wrong == []
    assert [file for file in FILES if "random" in set(imports(file))] == []


def test_collectors_is_loaded_without_torch():
    modules = [module for module in MODULES if within(module, ("collectors",))]
    code = (
        f"import importlib, sys; [importlib.import_module(m) for m in {modules}]; print('torch' "
        "in sys.modules)"
    )
    assert fresh_python(code).split()[-1] == "False"


def test_neural_envs_registers_its_ids_without_torch():
    code = (
        "import sys, gymnasium, neural_envs; print('NeuralSnake-v0' in gymnasium.registry, "
        "'torch' in sys.modules)"
    )
    assert fresh_python(code).split() == ["True", "False"]


@pytest.mark.guard
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks one interpreter per module")
def test_every_file_can_be_the_first_one_imported():
    """Finds circular imports that the usual order hides; the heavy libraries are loaded once and
    forked from.
    """
    code = f"""
import importlib, os, sys, traceback
import cv2, gymnasium, numpy, safetensors.torch, stable_baselines3
import torch.nn.attention.flex_attention
import torch.utils.flop_counter
for module in {MODULES}:
    pid = os.fork()
    if pid == 0:
        try:
            importlib.import_module(module)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        sys.exit(f"{{module}} does not import")
"""
    fresh_python(code)


def test_verbs_that_train_no_agent_need_no_stable_baselines3():
    learning = {"ppo", "transfer", "dyna", "trust", "compare", "demo", "dream"}
    modules = [place.split(":")[0] for verb, (place, _) in VERBS.items() if verb not in learning]
    assert "agents.benchmarks.bench" in modules and "agents.evaluation.evaluate" in modules
    fresh_python(
        "import importlib, sys\nsys.modules['stable_baselines3'] = None\n"
        f"for module in {modules}: importlib.import_module(module)"
    )


def test_settings_with_a_range_are_checked_by_their_class():
    unchecked = [
        (file, node.name)
        for file in FILES
        for node in ast.walk(ast.parse((ROOT / file).read_text()))
        if isinstance(node, ast.ClassDef)
        and any(
            isinstance(call, ast.Call)
            and ast.unparse(call.func) == "setting"
            and {"least", "most", "above"} & {keyword.arg for keyword in call.keywords}
            for call in ast.walk(node)
        )
        and "check_settings(self)" not in ast.unparse(node)
    ]
    assert unchecked == []
