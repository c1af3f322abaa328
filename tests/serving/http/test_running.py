"""The command's server: its port, its processes, and its end, which loses no request."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from serve_command import ServeCommand

from faster_rcnn.errors import MachineError, OptionError
from faster_rcnn.serving.http.options import Limits, ServeOptions
from faster_rcnn.serving.http.running import _config, address_of, listening
from files import model_file
from served import Reply, Served, png

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are sent as on Unix")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_file(tmp_path_factory.mktemp("model") / "tiny.safetensors")


def test_a_port_in_use_is_a_fault_of_the_machine() -> None:
    with listening("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert address_of(first) == f"http://127.0.0.1:{port}"
        with pytest.raises(MachineError) as refused, listening("127.0.0.1", port):
            pass
    assert str(refused.value) == (
        f"port {port} of 127.0.0.1 is in use by another program; choose another one with --port, or a free one with "
        "--port 0"
    )
    assert refused.value.exit_code == 5
    with listening("127.0.0.1", port):  # it is free again at once
        pass


@pytest.mark.parametrize("host", ["no.such.host.invalid", "300.1.1.1", "192.0.2.1", "a" * 300])
def test_a_host_that_is_not_this_machine_is_refused(host: str) -> None:
    with pytest.raises(OptionError, match=f"--host {host} is no address"), listening(host, 0):
        pass


def test_an_address_of_version_6_is_in_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("needs IPv6")
    try:
        with listening("::1", 0) as listener:
            assert address_of(listener).startswith("http://[::1]:")
    except (OptionError, MachineError):
        pytest.skip("this machine has no IPv6")


def test_the_time_after_sigterm_is_longer_than_a_request_may_take() -> None:
    """Its body may arrive for as long as it may be answered then."""
    options = ServeOptions("m", limits=Limits(timeout=30))
    seconds = _config(object(), options, is_factory=False).timeout_graceful_shutdown
    assert seconds is not None
    assert seconds > 2 * options.limits.timeout


def test_sigterm_under_load_loses_no_accepted_request(model: Path) -> None:
    """Eight clients ask again and again, and one has sent half of its body, when the signal arrives."""
    with ServeCommand(model, "--precision", "float32", "--verbose") as serve:
        server, replies, is_ending, content = Served(serve.port), list[Reply](), threading.Event(), png()

        def ask() -> None:
            while not is_ending.is_set():
                with suppress(ConnectionError):  # a connection that the server has not taken before the signal
                    replies.append(server.predict(content))

        with half_sent(server, content) as connection:
            clients = [threading.Thread(target=ask) for _ in range(8)]
            for client in clients:
                client.start()
            while len(replies) < 30:
                time.sleep(0.01)
            is_ending.set()
            serve.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            connection.sendall(content[1000:])
            assert connection.recv(20).startswith(b"HTTP/1.1 200 ")
        for client in clients:
            client.join()
        assert serve.wait() == 0
        logged = [line for line in serve.lines if "POST /predict" in line]
        assert all("POST /predict 200 " in line for line in logged)
        assert len(logged) == len(replies) + 1  # every request that was taken, and the half one
        assert {reply.status for reply in replies} == {200}
        assert len({reply.body for reply in replies}) == 1
        assert "every request that was taken is answered" in serve.lines
        with pytest.raises(OSError, match="refused"):
            server.get("/health")


@contextmanager
def half_sent(server: Served, content: bytes) -> Iterator[socket.socket]:
    """A connection with a request that the server has admitted, and that lacks the end of its body."""
    head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: {len(content)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=300) as connection:
        connection.sendall(head.encode() + content[:1000])
        while "faster_rcnn_requests_inside 1.0" not in server.get("/metrics").body.decode():
            time.sleep(0.01)
        yield connection


@pytest.mark.parametrize("number", [signal.SIGHUP, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)])
def test_several_processes_serve_one_port_and_add_up_their_counts(model: Path, number: signal.Signals) -> None:
    """At the end a request has sent half of its body; a terminal that closes sends SIGHUP to all processes."""
    with ServeCommand(model, "--workers", 2, "--precision", "float32") as serve:
        server, content = Served(serve.port), png()
        bodies = {server.predict(content).body for _ in range(12)}
        assert len(bodies) == 1
        images = re.search(r"^faster_rcnn_images_total (\S+)", server.get("/metrics").body.decode(), re.MULTILINE)
        assert images is not None
        assert float(images[1]) == 12
        assert any(" by 2 processes" in line for line in serve.lines)
        children = processes_of(serve.process.pid)
        assert len(children) >= 2
        with half_sent(server, content) as connection:
            for each in (serve.process.pid, *(children if number == signal.SIGHUP else ())):
                os.kill(each, number)
            time.sleep(1)  # the first process looks for signals twice a second
            connection.sendall(content[1000:])
            assert connection.recv(20).startswith(b"HTTP/1.1 200 ")
        assert serve.wait() == 0
        assert "every request that was taken is answered" in serve.lines
        limit = time.monotonic() + 60  # the process that cleans up after the others ends last
        while any(Path(f"/proc/{child}").exists() for child in children):
            assert time.monotonic() < limit
            time.sleep(0.01)


def test_a_process_that_dies_while_it_loads_does_not_hold_up_the_end(model: Path) -> None:
    with ServeCommand(model, "--workers", 2, "--precision", "float32") as serve:
        children: list[int] = []
        while len(children) < 2:
            children = sorted(each for each in processes_of(serve.process.pid) if is_worker(each))
        time.sleep(1)  # the first process asks twice a second whether the others are alive, beginning with the first
        os.kill(children[0], signal.SIGKILL)
        assert serve.end(seconds=60) == 0


def is_worker(process: int) -> bool:
    """Whether it is one of the processes that serve, and not the one that cleans up after them."""
    with suppress(OSError):
        return b"spawn_main" in Path(f"/proc/{process}/cmdline").read_bytes()
    return False


def processes_of(parent: int) -> list[int]:
    """The processes that a process has started."""
    if not Path("/proc").is_dir():
        pytest.skip("needs /proc")
    stats = {
        path.parent.name: path.read_text().rpartition(")")[2].split() for path in Path("/proc").glob("[0-9]*/stat")
    }
    return [int(child) for child, fields in stats.items() if int(fields[1]) == parent]


@pytest.mark.soak  # three more processes load a detector
def test_no_process_outlives_a_command_that_was_killed(model: Path) -> None:
    with ServeCommand(model, "--workers", 2) as serve:
        assert Served(serve.port).get("/health").status == 200
        serve.process.kill()
        serve.process.wait()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                Served(serve.port).get("/health")
            except OSError:
                return
            time.sleep(0.1)
    pytest.fail("it is still served")
