"""The settings of `neural-envs bench`."""

from dataclasses import dataclass

from agents.envs import BACKEND_HELP, Backend
from collectors.settings.parse import check_settings, setting
from world_models.training.presets.table import find_preset


@dataclass(frozen=True)
class BenchConfig:
    """Measure the speed of bundles, of their backends, and of models of others."""

    out: str = setting("bench.json", "file for the figures")
    overwrite: bool = setting(False, "replace the file where it is there already")
    bundles: tuple[str, ...] = setting((), "bundles to time; none means all that are released")
    lanes: tuple[int, ...] = setting((1, 16, 64, 256), "dreams in one batch")
    sampler_steps: tuple[int, ...] = setting(
        (1, 2, 3, 5), "denoising steps, for bundles that sample"
    )
    diamond_lanes: tuple[int, ...] = setting(
        (1, 64), "lanes of the DIAMOND-sized model; none leaves it out"
    )
    snake_unet_lanes: tuple[int, ...] = setting(
        (1,), "lanes of the Snake pixel-EDM U-Net; none leaves it out"
    )
    rounds: int = setting(3, "times that everything is timed in turn", least=1)
    seconds: float = setting(1.0, "shortest time of one timing; 0: one step", least=0)
    data: str = setting("data/snake", "dataset for read and training throughput, if it is there")
    real: str = setting("collectors:RealSnake-v0", "id of the real environment")
    preset: str = setting("snake", "training preset to time")
    memory_lanes: int = setting(64, "lanes of the dream whose memory is measured", least=1)
    backend: Backend = setting("auto", BACKEND_HELP)
    backends: tuple[str, ...] = setting(
        ("onnx", "openvino", "openvino-bf16", "cuda-graph", "auto"),
        "each timed beside eager, at backend_lanes; those that are not installed, or for another "
        "device, are left out",
    )
    backend_lanes: tuple[int, ...] = setting((1, 64), "lanes at which backends are timed")
    device: str = setting("cpu", "where models are computed and agents learn, as cuda")
    threads: int = setting(0, "CPU threads, 0 for torch's choice", least=0)
    ppo: bool = setting(False, "also time PPO in each dream beside PPO in its real game")
    ppo_steps: int = setting(16_384, "environment steps of such a training", least=1)

    def __post_init__(self) -> None:
        check_settings(self)
        find_preset(self.preset)  # which names the nearest one, before minutes of timing
        lanes = ("lanes", "diamond_lanes", "snake_unet_lanes", "backend_lanes")
        for name in (*lanes, "sampler_steps"):
            if min(getattr(self, name), default=1) < 1:
                raise ValueError(f"{name} are whole numbers from 1 on, as --{name} 1,16")
