"""What runs the dreams that an agent learns in, said as its training begins."""

from stable_baselines3.common.callbacks import BaseCallback

from agents.ppo.vec_env import SB3VecEnv
from collectors.progress import note
from neural_envs.vector_env import NeuralVectorEnv


class BackendLine(BaseCallback):
    """A line on stderr: the backend that `auto` chose, and what was refused and why."""

    def _on_training_start(self) -> None:
        lanes = self.training_env.unwrapped
        if isinstance(lanes, SB3VecEnv) and (line := backend_line(lanes)):
            note(line)

    def _on_step(self) -> bool:
        return True


def backend_line(lanes: SB3VecEnv) -> str:
    """What runs these dreams, which have been reset; "" where their processes do not say it."""
    dreams = lanes.env.unwrapped
    if isinstance(dreams, NeuralVectorEnv):
        return dreams.simulator.backend_line(dreams.num_envs, dreams.sampling)
    # of a cluster, each process of which chooses: only the infos come from there
    names = {info["backend"] for info in lanes.reset_infos if "backend" in info}
    return f"dreams run by {' and '.join(sorted(names))}" if names else ""
