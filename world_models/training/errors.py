"""What stops a training run."""


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why and what is kept."""
