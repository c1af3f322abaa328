"""Running of the server: its port, its processes, and its end.

On SIGINT, SIGTERM and SIGHUP no further connection is taken, the requests that were taken are answered, and the server
ends. A second SIGINT ends it at once.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from math import ceil
from multiprocessing import parent_process
from multiprocessing.connection import wait
from types import FrameType

import torch
import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from faster_rcnn.errors import FasterRCNNError, MachineError, OptionError
from faster_rcnn.serving.http.app import load_app, make_app
from faster_rcnn.serving.http.metrics import FOLDER
from faster_rcnn.serving.http.options import LOCAL, ServeOptions
from faster_rcnn.serving.http.service import load_service
from faster_rcnn.system.console import flags_of_shown, shown
from faster_rcnn.system.environment import variables_set
from faster_rcnn.system.signals import Signalled
from faster_rcnn.system.threads import default_threads
from faster_rcnn.system.wording import count_of

_LOG = logging.getLogger(__name__)

BACKLOG = 2048
"""Connections that wait until they are taken."""
SECONDS_TO_LOAD = 600
"""Time in which a process loads its detector; one that does not answer for as long is replaced."""
SECONDS_TO_END = 5
"""Time beyond that of a request in which the last answers are sent."""


def serve(options: ServeOptions, host: str, port: int) -> None:
    """Serve a detector until a signal ends it.

    Raises:
        MachineError: the port is in use or not allowed.
        OptionError: the host is no address of this machine.
        ModelFileError, OptionError, MachineError: as ``load_detector``.
    """
    with listening(host, port) as listener:
        service = load_service(options)
        _warn_if_open(options, host)
        processes = "" if options.workers == 1 else f" by {count_of(options.workers, 'process', 'processes')}"
        _LOG.info(f"serving {options.model} at {address_of(listener)}{processes}: the page at /, the routes at /docs")
        if options.workers == 1:
            _serve_here(make_app(service), options, listener)
        else:  # they load the detector again, after this process has found no fault in it
            service.close()
            del service
            _serve_by_several(options, listener)
    _LOG.info("every request that was taken is answered")


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket at an address, which belongs to this process from here on; clients wait until they are served."""
    try:
        [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise OptionError(
            f"--host {host} is no address: {getattr(error, 'strerror', None) or error}", code="E125"
        ) from error
    with socket.socket(family, kind, protocol) as listener:
        if os.name != "nt":  # there it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            raise _unusable(error, host, port) from error
        yield listener


def _unusable(error: OSError, host: str, port: int) -> Exception:
    match error.errno:
        case errno.EADDRINUSE:
            return MachineError(
                f"port {port} of {host} is in use by another program; choose another one with --port, or a free one "
                "with --port 0"
            )
        case errno.EACCES:
            return MachineError(f"port {port} needs more rights than this user has; choose one above 1023 with --port")
        case errno.EADDRNOTAVAIL:
            return OptionError(f"--host {host} is no address of this machine; 0.0.0.0 is all of them", code="E125")
    return MachineError(f"cannot listen at {host}, port {port}: {error.strerror}")


def address_of(listener: socket.socket) -> str:
    """The address of the page."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _warn_if_open(options: ServeOptions, host: str) -> None:
    if host not in LOCAL and not options.keys:
        _LOG.warning(f"--host {host}: whoever reaches this machine is answered; --api-key-file FILE demands a key")


def _config(app: object, options: ServeOptions, *, is_factory: bool) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # an application or what makes it
        factory=is_factory,
        workers=options.workers,
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=ceil(options.limits.longest + SECONDS_TO_END),
        timeout_worker_healthcheck=SECONDS_TO_LOAD,
    )


def _serve_here(app: FastAPI, options: ServeOptions, listener: socket.socket) -> None:
    _silence_uvicorn()
    server = uvicorn.Server(_config(app, options, is_factory=False))
    with ExitStack() as stack:
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            before = signal.signal(signal.SIGHUP, partial(_end, server))
            stack.callback(signal.signal, signal.SIGHUP, before)
        try:
            server.run([listener])
        except Signalled:  # uvicorn raises the signal again when all is done
            _LOG.debug("a signal has ended the server")


def _end(server: uvicorn.Server, number: int, frame: FrameType | None) -> None:
    server.should_exit = True


class _Processes(Multiprocess):
    """The processes of a server: SIGHUP ends them, where uvicorn would replace them, and is ignored where it was."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        """Handle signals from here on; no process is started yet."""
        is_ignored = hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        super().__init__(config, sockets)
        if is_ignored:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def keep_subprocess_alive(self) -> None:
        """Replace processes that have died, one that loads its detector among them."""
        for process in self.processes:
            # The child has its own. While this end is open, the answer of a dead one is awaited for SECONDS_TO_LOAD.
            process.child_conn.close()
        super().keep_subprocess_alive()

    def handle_hup(self) -> None:
        """End all processes after their last answers."""
        self.should_exit.set()


def _serve_by_several(options: ServeOptions, listener: socket.socket) -> None:
    _silence_uvicorn()
    with tempfile.TemporaryDirectory(prefix="faster-rcnn-metrics-") as folder, variables_set({FOLDER: folder}):
        make = partial(_app_of_process, options, flags_of_shown())
        supervisor = _Processes(_config(make, options, is_factory=True), [listener])
        supervisor.run()
        if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
            raise MachineError(
                f"one of the {options.workers} processes could not load the detector; start fewer of them"
            )


def _app_of_process(options: ServeOptions, flags: tuple[str, ...] | None) -> FastAPI:
    """The application of one of several processes, which shows what the command shows."""
    _silence_uvicorn()
    if flags is not None:
        # It is never left: it holds as long as the process.
        shown(quiet="--quiet" in flags, verbose="--verbose" in flags, debug="--debug" in flags).__enter__()
    if hasattr(signal, "SIGHUP"):  # a terminal that closes sends it to all processes; the first one ends the others
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(default_threads(options.workers))
    try:
        return load_app(options)
    except FasterRCNNError as error:
        _LOG.error("a process cannot load the detector: %s", error)
        sys.exit(STARTUP_FAILURE)  # the others are ended, too


def _end_with_parent() -> None:
    """End this process, after its last answer, when the one that started it is gone, however it ended."""
    if (parent := parent_process()) is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def _silence_uvicorn() -> None:
    """Keep uvicorn's lines out of standard error: the application logs its own faults, in one line each."""
    logger = logging.getLogger("uvicorn")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
