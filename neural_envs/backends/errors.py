"""What a backend says where it cannot run."""


class BackendError(ValueError):
    """A backend that cannot be used here; the message names the remedy."""


class ExportError(RuntimeError):
    """A step that cannot be made a graph, or a package that is missing; with the remedy."""
