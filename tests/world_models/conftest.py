"""The fixtures of the world-model tests; what makes them is in conftest_models."""

from conftest_models import dataset_path, generator, model, short_films  # noqa: F401
