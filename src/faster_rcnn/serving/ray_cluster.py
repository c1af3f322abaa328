"""The connection to Ray: a cluster of this machine that lives as long as the command, or one that runs already.

Ray prints nothing while it is connected: its messages go to this package's log, at the level DEBUG.
"""

from __future__ import annotations

import io
import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from faster_rcnn.errors import MachineError, MissingExtraError, OptionError
from faster_rcnn.system.environment import variables_set
from faster_rcnn.system.signals import STOPPING, Signalled
from faster_rcnn.system.threads import processors

SECONDS_TO_CONNECT = 5.0
"""Time for an address to accept a connection."""

MEMORY_OF_AN_ACTOR = 2**30
"""Bytes that a detector on a CPU is counted with: the largest presets take 0.7 to 1 GB."""

LONGEST_TEMPORARY = 40
"""Longest name of a folder in which Ray can make its sockets, whose full paths have at most 107 letters."""

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # without it Ray prints a warning about this variable
}

AUTHENTICATION = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
"""Variables that hold the kind and the secret of Ray's authentication."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Actors:
    """The processes that predict: how many, and what each of them takes."""

    count: int
    gpus: int
    """GPUs of each process: 1 or 0. Each has one CPU, and one thread of torch where it computes on that."""

    @property
    def device(self) -> str:
        """The device that each process computes on."""
        return "cuda" if self.gpus else "cpu"


def actors_for(resources: Mapping[str, float], device: str) -> Actors:
    """The processes for the resources of a cluster: one for each GPU, or else one for each CPU.

    Images are independent of each other, so processes of one thread use CPUs better than threads do. The processes read
    the images themselves; no CPU is needed for reading. Memory limits the number, too.

    Raises ``OptionError`` for GPUs that a cluster does not have (E126).
    """
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
    if device == "cuda" and not gpus:
        raise OptionError("--device cuda: the cluster has no GPU. CPUs work: --device cpu", code="E126")
    if gpus and device != "cpu":
        return Actors(gpus, 1)
    if not cpus:
        raise MachineError("the cluster has no CPU that could predict; start a worker of Ray with some")
    return Actors(max(1, min(cpus, int(resources.get("memory", cpus * MEMORY_OF_AN_ACTOR) // MEMORY_OF_AN_ACTOR))), 0)


def require_ray() -> None:
    """Raise ``MissingExtraError`` where Ray, or what its data sets need, is not installed; nothing is imported."""
    for package in ("ray", "pyarrow"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "ray")


@contextmanager
def connected(address: str | None, device: str) -> Iterator[Actors]:
    """Start a cluster on this machine, or connect to one at ``address``; gives the processes that it has room for.

    At the end the cluster that was started is stopped; the last of its processes end a moment later.

    Raises:
        MachineError: nothing answers at the address, or Ray does not start.
        OptionError: the address is none, or ``device`` is a GPU and the cluster has none.
    """
    _refuse_unreachable(address)
    with ExitStack() as stack:
        stack.enter_context(_silenced({} if address else _new_secret()))
        import ray.data

        warnings.simplefilter("ignore")  # Ray's import lets its own warnings through
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        where: dict[str, Any] = {} if address is not None else _local(device, stack.enter_context(_temporary_folder()))
        stack.callback(ray.shutdown)
        try:
            with _own_signals(), _without_native_lines():
                ray.init(address or "local", log_to_driver=False, logging_level=logging.CRITICAL, **where)
        except (OSError, RuntimeError, ValueError) as error:
            raise MachineError(_unusable(address, error)) from error
        yield actors_for(ray.cluster_resources(), device)  # type: ignore[no-untyped-call]


def _local(device: str, folder: str | None) -> dict[str, Any]:
    """Arguments of ``ray.init`` for a cluster of this machine."""
    none = {"num_gpus": 0} if device == "cpu" else {}
    return {"num_cpus": processors(), "include_dashboard": False, "_temp_dir": folder, **none}


@contextmanager
def _temporary_folder() -> Iterator[str | None]:
    """A folder for Ray's files that is removed at the end; ``None``, Ray's own, where its name would be too long."""
    folder = tempfile.mkdtemp(prefix="ray-")
    try:
        yield folder if len(folder) <= LONGEST_TEMPORARY else None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _new_secret() -> dict[str, str]:
    """A secret for a cluster of this command: others can reach its ports, and Ray would leave its own in the home."""
    return dict(zip(AUTHENTICATION, ("token", secrets.token_hex(32)), strict=True))


@contextmanager
def _silenced(variables: Mapping[str, str]) -> Iterator[None]:
    """Within it Ray prints nothing, sends no statistics, warns of nothing, and finds these variables, too."""
    with (
        variables_set({**ENVIRONMENT, **variables}),
        warnings.catch_warnings(action="ignore"),
        redirect_stdout(_ToLog()),
    ):
        yield


@contextmanager
def _without_native_lines() -> Iterator[None]:
    """Drop what the C++ code of Ray writes to standard error: while it starts, a line about its level of logging."""
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


class _ToLog(io.TextIOBase):
    """A standard output whose lines go to the log."""

    def write(self, text: str, /) -> int:
        """Log each line that is not empty."""
        for line in filter(str.strip, text.splitlines()):
            _LOG.debug("%s", line)
        return len(text)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the handlers of signals: Ray installs one that ends the process at once, with another exit code."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    try:
        yield
    except SystemExit as stopped:
        raise Signalled(stopped.code if isinstance(stopped.code, int) else signal.SIGTERM) from stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _refuse_unreachable(address: str | None) -> None:
    """Raise ``MachineError`` where no server of Ray answers at an address; Ray itself would wait for minutes."""
    if address in (None, "auto"):
        return
    host, colon, port = str(address).rpartition(":")
    if not colon or not port.isdigit() or not host or "/" in host:
        raise OptionError(
            f"--address {address} is no address; give host:port, or auto on a machine of the cluster", code="E125"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_CONNECT) as connection:
            speaks = os.environ.get("RAY_USE_TLS") == "1" or _speaks_grpc(connection)
    except (OSError, OverflowError, UnicodeError) as error:
        raise MachineError(
            f"--address {address}: nothing answers there: {getattr(error, 'strerror', None) or error}. Start the "
            "cluster there with Ray's command start, or leave --address out to predict on this machine"
        ) from error
    if not speaks:
        raise MachineError(
            f"--address {address}: what answers there is no cluster of Ray; give the address that "
            "the command start of Ray printed, or leave --address out to predict on this machine"
        )


def _speaks_grpc(connection: socket.socket) -> bool:
    """Whether a server speaks HTTP/2, as that of Ray does: it answers the preface of a client with its settings."""
    settings = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # length 0, kind 4, no flags, stream 0
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings)
    try:
        return connection.recv(4)[3:4] == settings[3:4]
    except TimeoutError:
        return False


def _unusable(address: str | None, error: Exception) -> str:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    if address is None:
        return f"Ray does not start on this machine: {reason}"
    return (
        f"--address {address}: there is no cluster of Ray that this machine belongs to: {reason}. Run the command on a "
        f"machine of the cluster, with {' and '.join(AUTHENTICATION)} set where it asks for a token, or leave "
        "--address out to predict on this machine"
    )
