"""A connection to a Ray cluster (extra `ray`), for whoever has work to send there."""

import contextlib
import socket
from collections.abc import Iterator


class ClusterError(ValueError):
    """There is no Ray cluster at the address; the message says what to do."""


@contextlib.contextmanager
def cluster(address: str, processors: int) -> Iterator[None]:
    """A connection to the cluster at `address`, closed at the end if it was opened here; one that
    is open is used.

    "local" starts a cluster of so many `processors` on this machine and ends it. Raises
    ClusterError.
    """
    import ray

    opened = not ray.is_initialized()
    if opened:
        _check_address(address)
        local = {"num_cpus": processors, "include_dashboard": False} if address == "local" else {}
        try:
            ray.init(address=address, log_to_driver=False, **local)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise _nobody(address, error) from error
    try:
        yield
    finally:
        if opened:
            ray.shutdown()


def _check_address(address: str) -> None:
    """ClusterError where nobody listens at host:port; Ray itself would wait for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError as error:
            raise _nobody(address, error) from error


def _nobody(address: str, error: Exception) -> ClusterError:
    return ClusterError(
        f"there is no Ray cluster at {address!r} ({error}); `--ray local` starts one"
    )
