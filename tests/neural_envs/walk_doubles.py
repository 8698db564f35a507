"""Doubles of a dream and a real game to be played, a policy for them, and a hand on the keys."""

from types import SimpleNamespace

import gymnasium
import numpy as np
import pygame

from neural_envs.play.keyboard import Keys
from neural_envs.play.player_view import PlayerView
from neural_envs.play.session import PlaySession
from neural_envs.play.window import RESERVED
from world_models.protocols import SamplingOptions

UP, DOWN, LEFT, RIGHT = range(4)
ARROWS = {
    (pygame.K_UP,): UP,
    (pygame.K_DOWN,): DOWN,
    (pygame.K_LEFT,): LEFT,
    (pygame.K_RIGHT,): RIGHT,
}


def simulator_with(options):
    """A double of a simulator whose model has these options by default."""
    return SimpleNamespace(model=SimpleNamespace(default_options=options))


class Walk(gymnasium.Env):
    """A double: the frame's grey counts right minus left; right pays 1, up ends the game, 20 steps
    truncate it.
    """

    metadata = {"render_modes": [], "render_fps": 10}
    observation_space = gymnasium.spaces.Box(0, 255, (8, 8, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(4)

    def __init__(self):
        self.actions, self.seeds, self.options = [], [], []

    def reset(self, *, seed=None, options=None):
        self.place, self.steps = 100 if not options else int(options["context"][0, 0, 0]), 0
        self.actions, self.seeds, self.options = [], [*self.seeds, seed], [*self.options, options]
        return self.frame(), {}

    def step(self, action):
        self.place += {LEFT: -1, RIGHT: 1}.get(action, 0)
        self.steps, self.actions = self.steps + 1, [*self.actions, action]
        return self.frame(), float(action == RIGHT), action == UP, self.steps >= 20, {}

    def frame(self):
        return np.full((8, 8, 3), self.place, np.uint8)

    def get_keys_to_action(self):
        return ARROWS


class DreamWalk(Walk):
    """The double with what a dream has: trust, a state to go back to, sampler steps up to 4,
    guidance, a history of 3.

    Between noise and result are as many frames as there are sampler steps.
    """

    guides, denoises, context_length, idle_action = True, True, 3, None
    chosen = SamplingOptions()
    simulator = simulator_with(SamplingOptions())

    def step(self, action):
        frame, reward, terminated, truncated, _ = super().step(action)
        return frame, reward, terminated, truncated, {"trust": 0.5}

    def get_state(self):
        return self.place, self.steps

    def set_state(self, state):
        self.place, self.steps = state

    def continue_from(self, context):
        self.context = context
        self.place = int(context[0][-1, 0, 0, 0])
        return self.frame()

    def denoising(self):
        return [self.frame()] * (1 + (self.chosen.steps or 2))

    @property
    def sampling(self):
        return self.chosen

    @sampling.setter
    def sampling(self, options):
        if (options.steps or 0) > 4:
            raise ValueError("1 to 4 sampler steps")
        self.chosen = options


class Homing:
    """A policy double: walks right until pixel 110, then down."""

    def __init__(self, actions):
        self.resets = 0

    def reset(self, generator):
        self.resets += 1

    def __call__(self, frame):
        return RIGHT if frame[0, 0, 0] < 110 else DOWN


def make_session(real=False, table=ARROWS, make_policy=Homing, share_start=None):
    views = [PlayerView("dream", DreamWalk())] + ([PlayerView("real", Walk())] if real else [])
    return PlaySession(views, Keys(table, RESERVED), make_policy, share_start, seed=7)


def places(session):
    return [int(view.score.frame[0, 0, 0]) for view in session.views]


def key(window, code, up=True, mod=0):
    """Post a key's KEYDOWN (and KEYUP) and let the window read it."""
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=code, mod=mod))
    if up:
        pygame.event.post(pygame.event.Event(pygame.KEYUP, key=code, mod=mod))
    window.read_keys()
