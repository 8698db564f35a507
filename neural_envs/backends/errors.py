"""What a backend says where it cannot run."""


class BackendError(ValueError):
    """A backend that cannot be used here; the message names the remedy."""


class ExportError(RuntimeError):
    """A step that cannot be made a graph, or a package that is missing; with the remedy."""


def first_line(error: BaseException) -> str:
    """What an error of a library says first; its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
