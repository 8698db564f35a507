"""CoinRun's evaluator: the general one, with targets of its own."""

from world_models.evaluation.action_probe import ProbingEvaluator
from world_models.evaluation.evaluator import Target


class CoinRunEvaluator(ProbingEvaluator):
    """CoinRun's engine hides its state, so frames and outcomes are compared, and actions probed."""

    targets = (
        Target("one_step.psnr", "next frame, PSNR", 30, unit="dB"),
        Target("rollout.psnr.32", "32 steps deep, PSNR", 22, unit="dB"),
        Target("reward.one_step.classes.10.f1", "reward 10, F1", 0.9),
        Target("termination.one_step.f1", "game over, F1", 0.9),
    )
