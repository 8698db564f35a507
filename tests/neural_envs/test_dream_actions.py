"""Dreams whose actions have parts: environments, keys, recordings, films, programs, a compiled
step; with a tiny random model of a game of Box, MultiDiscrete or started Discrete actions.
"""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from collectors.action_space import ActionSpace
from collectors.worlds.default_keys import LEFT, UP
from collectors.worlds.lane_arguments import UnknownActionError
from neural_envs.backends.agreement import eager_dreams
from neural_envs.backends.step_function import StepFunction
from neural_envs.branching import branches, start_state
from neural_envs.env import NeuralEnv
from neural_envs.play.keyboard import Keys
from neural_envs.play.player_view import PlayerView
from neural_envs.play.session import PlaySession
from neural_envs.play.twins import policy_maker, share_start
from neural_envs.replays.dream_format import DreamFileError
from neural_envs.replays.recorder import DreamRecorder
from neural_envs.replays.replay_file import DreamFile, frames_hash, replay
from neural_envs.vector_env import NeuralVectorEnv
from neural_envs.web import api, protocol
from tests.world_models.conftest_models import CONFIGS, SPEC
from world_models.bundles.bundle import Bundle
from world_models.bundles.contexts import Contexts
from world_models.models.table import build_model
from world_models.protocols import DEFAULT_OPTIONS

BOX = spaces.Box(np.float32([-2, 0]), np.float32([2, 1]))
PAD = spaces.MultiDiscrete([3, 2], start=[0, 7])
LATE = spaces.Discrete(2, start=5)
SPACES = (BOX, PAD, spaces.MultiBinary(2), LATE)
OUTSIDE = ([3.0, 0.5], [1, 6], [2, 0], 0)


def bundle_of(space, name: str = "tokens") -> Bundle:
    """A bundle of a random model."""
    ours = ActionSpace.from_gymnasium(space)
    torch.manual_seed(0)
    spec = replace(SPEC, frame_shape=(16, 24, 3), action_names=("turn", "push"), action_space=ours)
    model = build_model(spec, CONFIGS[name]).eval()
    if name != "scene":
        with torch.no_grad():
            model.head.out.bias[model.head.rewards] = -99  # it never ends
    generator = np.random.default_rng(0)
    shape = (4, model.context_length, *spec.frame_shape)
    frames = generator.integers(0, 256, shape, np.uint8)
    actions = ours.draw_encoded(generator, (4, model.context_length - 1))
    return Bundle(model, Contexts(frames, actions), {}, None)


@pytest.fixture(params=SPACES, ids=str)
def space(request):
    return request.param


def test_the_dream_has_the_games_space_and_is_an_environment(space):
    env = NeuralEnv(bundle_of(space), max_episode_steps=20)
    assert env.action_space == space and env.observation_space.shape == (16, 24, 3)
    check_env(env, skip_render_check=True)
    with pytest.raises(UnknownActionError, match="got") as error:
        env.step(OUTSIDE[SPACES.index(space)])
    row = env.world.actions.row  # of this game alone, not of lanes
    assert f"actions are {row} " in str(error.value)


def test_lanes_are_the_single_dreams_and_travel_by_pickle(space):
    envs = NeuralVectorEnv(3, bundle_of(space), autoreset_mode="Disabled", max_episode_steps=99)
    assert envs.single_action_space == space
    envs.reset(seed=4)
    envs.action_space.seed(0)
    actions = envs.action_space.sample()
    frames = pickle.loads(pickle.dumps(envs)).step(actions)[0]
    assert (envs.step(actions)[0] == frames).all()
    alone = NeuralEnv(bundle_of(space), max_episode_steps=99)
    for lane in range(3):
        alone.reset(seed=4 + lane)
        apart = np.abs(alone.step(actions[lane])[0].astype(int) - frames[lane])
        assert apart.max() <= 1
    with pytest.raises(UnknownActionError):
        envs.step(np.zeros((2, 2)))


def test_numbers_out_of_range_are_clipped_where_one_says_so():
    bundle = bundle_of(BOX)
    env, other = NeuralEnv(bundle, out_of_range="clip"), NeuralEnv(bundle)
    assert (env.reset(seed=0)[0] == other.reset(seed=0)[0]).all()
    assert (env.step([9.0, -9.0])[0] == other.step([2.0, 0.0])[0]).all()
    with pytest.raises(ValueError, match="out_of_range"):
        NeuralEnv(bundle, out_of_range="wrap")
    with pytest.raises(ValueError, match="out_of_range='clip'"):
        other.step([9.0, -9.0])


def test_a_recorded_dream_is_the_same_again(space):
    bundle = bundle_of(space)
    env = NeuralEnv(bundle, max_episode_steps=-1)
    env.action_space.seed(1)
    frame, _ = env.reset(seed=2)
    recorder, frames = DreamRecorder(), [frame]
    recorder.start(env, 2)
    for _ in range(4):
        action = env.action_space.sample()
        frame, *outcome, _ = env.step(action)
        recorder.add(action, frame, *outcome)
        frames.append(frame)
    file = DreamFile.from_bytes(recorder.file().to_bytes())
    assert file.actions.shape == (4, *space.shape)
    assert frames_hash(replay(file, bundle)) == file.frames_hash == frames_hash(frames)
    wrong = replace(file, actions=file.actions + 100)
    with pytest.raises(DreamFileError, match="actions that its bundle has not"):
        list(replay(wrong, bundle))
    other = LATE if space is BOX else BOX
    with pytest.raises(DreamFileError, match="actions that its bundle has not"):
        list(replay(file, bundle_of(other)))


def test_a_dream_goes_on_from_given_frames_and_actions(space):
    bundle, generator = bundle_of(space), np.random.default_rng(3)
    env, ours = NeuralEnv(bundle), ActionSpace.from_gymnasium(space)
    frames = generator.integers(0, 256, (3, 16, 24, 3), np.uint8)
    actions = np.array([ours.draw(generator) for _ in range(2)])
    first, _ = env.reset(options={"context": (frames, actions)})
    assert (first == frames[-1]).all()
    env.reset(options={"context": frames[0]})  # a short history
    with pytest.raises(ValueError, match="context actions are"):
        env.reset(options={"context": (frames, actions + 100)})
    with pytest.raises(ValueError, match="for these frames give"):
        env.reset(options={"context": (frames, actions[:1])})


def test_keys_play_it_and_a_policy_too(space):
    view = PlayerView("dream", NeuralEnv(bundle_of(space), max_episode_steps=-1), DreamRecorder())
    dream = view.env.unwrapped
    maker = policy_maker("random", "tiny")
    session = PlaySession([view], Keys.of_dream(dream), maker, share_start, 0)
    session.keys.press(ord("0") if space is LATE else LEFT)
    if space is BOX:
        session.keys.press(UP)
        session.keys.taps.clear()  # of the first key alone
    session.single_step()
    session.toggle_player()
    session.single_step()
    taken = view.recorder.file().actions
    assert len(taken) == 2 and ActionSpace.from_gymnasium(space).holds(taken)
    expected = ([-2, 1], [1, 7], [0, 0], 5)[SPACES.index(space)]
    assert taken[0].tolist() == expected


def test_the_film_of_every_action_moves_one_part_at_a_time():
    simulator = NeuralEnv(bundle_of(BOX)).simulator
    found = branches(simulator, start_state(simulator, 0), 2)
    assert found.names == ("rest", "turn -2", "turn 2", "push 1")
    assert found.frames.shape[:2] == (3, 4)
    late = NeuralEnv(bundle_of(LATE)).simulator
    assert branches(late, start_state(late, 0), 1).names == ("turn", "push")


def test_programs_send_rows_of_numbers():
    def job(actions):
        return protocol.read_generate(f'{{"actions": {actions}}}').actions

    assert job("[[0.5, 1], [-2, 0]]") == ((0.5, 1), (-2, 0))
    spec = NeuralEnv(bundle_of(BOX)).world
    api._check_actions(job("[[0.5, 1]]"), spec)
    for wrong in ("[[3, 1]]", "[[0.5]]", "[1]", "[[0.5, NaN]]"):
        with pytest.raises(ValueError, match=r"actions\[0\]"):
            api._check_actions(job(wrong), spec)
    with pytest.raises(ValueError, match="'actions.0.' is"):
        job('[["a"]]')


@pytest.mark.parametrize(
    ("space", "known", "unknown"),
    [
        (spaces.Discrete(2, start=-3), (-3, -2), (-4, -1, 0)),
        (spaces.Discrete(2, start=300), (300, 301), (0, 299, 302)),
        (spaces.Discrete(2), (0, 1), (-1, 2, 300)),
    ],
    ids=str,
)
def test_programs_send_the_numbers_of_the_game_and_no_others(space, known, unknown):
    spec = NeuralEnv(bundle_of(space)).world
    for number in (*known, *unknown):
        actions = protocol.read_generate(f'{{"actions": [{number}]}}').actions
        if number in known:
            api._check_actions(actions, spec)
        else:
            with pytest.raises(ValueError, match=r"actions\[0\]"):
                api._check_actions(actions, spec)


@pytest.mark.parametrize("name", ["tokens", "scene", "joint"])
@pytest.mark.parametrize("chosen", [BOX, PAD], ids=str)
def test_a_step_is_still_one_function_of_tensors(chosen, name):
    bundle = bundle_of(chosen, name)
    (dream,) = eager_dreams(bundle.model, bundle.contexts, 3, DEFAULT_OPTIONS, 3)
    action, noise, expected = dream.steps[0]
    assert action.shape == (3, 2)
    with torch.inference_mode():
        function = StepFunction(bundle.model, DEFAULT_OPTIONS, dream.state, action, noise)
        tensors = function.tensors(dream.state, action, noise)
        found = function.transition(list(function(*tensors)))
    assert torch.equal(found.frame, expected.frame)
