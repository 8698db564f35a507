"""What every test needs before anything is imported: one thread, no window, no network."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch  # after the environment is set

from neural_envs.backends import backends

torch.set_num_threads(1)
backends.CANDIDATES = ()  # to time graphs takes minutes; `auto` is tested where it is made
