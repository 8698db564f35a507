"""Bundles on the Hugging Face Hub, by the conventions of its mixin.

    model = HubBundle.from_pretrained("organization/repository")  # or a directory
    model.bundle  # what `load_bundle` returns
    model.push_to_hub("organization/repository", private=True)

The files are those of a bundle, so `gym.make("neural_envs:NeuralEnv-v0",
bundle="organization/repository")` plays it.
"""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import ModelHubMixin

from collectors.files import write_atomically
from world_models.bundles import BundleError
from world_models.bundles.bundle import Bundle, load_bundle
from world_models.bundles.hub_files import ENV_FILE, FILM, env_file, hub_card
from world_models.bundles.network_access import download_bundle
from world_models.bundles.shared_contexts import copy_bundle


class HubBundle(
    ModelHubMixin, library_name="neural-envs", tags=["world-model", "gymnasium"], license="mit"
):
    """A bundle that can be saved and pushed.

    What is written is a copy of its files: nothing is encoded anew.
    """

    def __init__(self, bundle: Bundle):
        self.bundle = bundle
        self._repository, self._film = "", b""

    def push_to_hub(self, repo_id: str, film: bytes = b"", **options) -> str:
        """Creates the repository if need be and uploads the bundle, `env.py` for EnvHub and, if
        given, a film of a dream as GIF; the commit's address.

        Options as the mixin's.
        """
        self._repository, self._film = repo_id, film
        try:
            return super().push_to_hub(repo_id, **options)
        finally:
            self._repository, self._film = "", b""

    def _save_pretrained(self, save_directory: Path) -> None:
        copy_bundle(self.bundle.path, save_directory)
        if self._repository:
            card = save_directory / "README.md"
            text = hub_card(card.read_text(), self._repository, bool(self._film))
            write_atomically(card, text)
            own = env_file(self.bundle.config, self._repository)
            write_atomically(save_directory / ENV_FILE, own)
            if self._film:
                write_atomically(save_directory / FILM, self._film)

    def save_pretrained(self, save_directory: str | Path, **options) -> str | None:
        """Writes the bundle's files into a directory.

        Raises BundleError for the directory that the bundle lies in: the mixin begins by deleting
        the config that is there.
        """
        if Path(save_directory).resolve() == self.bundle.path.resolve():
            raise BundleError(
                f"the bundle lies in {save_directory} already; save it to another directory"
            )
        return super().save_pretrained(save_directory, **options)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options) -> HubBundle:
        """The bundle of a directory or a Hub repository.

        `device`, `revision`, `token`, `cache_dir`, `force_download` and `local_files_only` are
        options. Raises BundleError, a sentence, for whatever is wrong.
        """
        name = str(pretrained_model_name_or_path)
        if not Path(name).is_dir() and (name.count("/") != 1 or name.startswith((".", "/", "~"))):
            raise BundleError(
                f"there is no directory '{name}', and a Hub repository is named "
                "organization/repository"
            )
        options.setdefault("device", "cpu")
        return cls._from_pretrained(model_id=name, **options)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, device: str = "cpu", **download) -> HubBundle:
        if Path(model_id).is_dir():
            return cls(load_bundle(model_id, device))
        try:
            path = download_bundle(model_id, **download)
        except BundleError as error:
            raise BundleError(
                f"the Hub repository '{model_id}' could not be fetched ({error})"
            ) from error
        return cls(load_bundle(path, device))
