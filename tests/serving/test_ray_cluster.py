"""What needs no cluster; ``test_ray_job.py`` starts some."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator

import pytest

from faster_rcnn.errors import MachineError, MissingExtraError, OptionError
from faster_rcnn.serving import ray_cluster
from faster_rcnn.serving.ray_cluster import Actors, actors_for, connected, require_ray
from faster_rcnn.system.signals import Signalled

GIB = 2**30


@pytest.mark.parametrize(
    ("resources", "device", "actors"),
    [
        ({"CPU": 2.0, "memory": 8.0 * GIB}, "auto", Actors(2, 0)),
        ({"CPU": 64.0, "memory": 10.5 * GIB}, "auto", Actors(10, 0)),  # memory for ten
        ({"CPU": 4.0, "memory": 0.5 * GIB}, "cpu", Actors(1, 0)),
        ({"CPU": 4.0}, "cpu", Actors(4, 0)),
        ({"CPU": 16.0, "GPU": 3.0}, "auto", Actors(3, 1)),
        ({"CPU": 16.0, "GPU": 3.0}, "cuda", Actors(3, 1)),
        ({"CPU": 16.0, "GPU": 3.0}, "cpu", Actors(16, 0)),
    ],
)
def test_each_gpu_or_else_each_cpu_has_a_process(resources: dict[str, float], device: str, actors: Actors) -> None:
    assert actors_for(resources, device) == actors
    assert actors.device == ("cuda" if actors.gpus else "cpu")


def test_a_cluster_without_the_device_is_refused() -> None:
    with pytest.raises(OptionError, match=r"^E126 --device cuda: the cluster has no GPU"):
        actors_for({"CPU": 4.0}, "cuda")
    with pytest.raises(MachineError, match=r"^the cluster has no CPU that could predict"):
        actors_for({"CPU": 0.0}, "auto")


@pytest.mark.parametrize("package", ["ray", "pyarrow"])
def test_a_missing_package_is_named_with_its_command(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    require_ray()
    monkeypatch.setattr(ray_cluster, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(
        MissingExtraError, match=rf"^this needs the package '{package}': pip install 'faster-rcnn\[ray\]'"
    ):
        require_ray()


@pytest.mark.parametrize("address", ["foo", "host:", ":6379", "host:six", "ray://host:10001", ""])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(OptionError, match=r"^E125 --address .* is no address; give host:port, or auto"):
        ray_cluster._refuse_unreachable(address)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server at a free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def answering(server: socket.socket, answer: bytes) -> None:
    def answer_once() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(100)
            connection.sendall(answer)

    threading.Thread(target=answer_once, daemon=True).start()


def test_an_address_that_does_not_answer_is_a_fault_of_the_machine(server: socket.socket) -> None:
    address = f"127.0.0.1:{server.getsockname()[1]}"
    server.close()
    with pytest.raises(MachineError, match=rf"^--address {address}: nothing answers there: Connection refused. Start"):
        ray_cluster._refuse_unreachable(address)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_another_server_is_no_cluster(server: socket.socket, answer: bytes) -> None:
    answering(server, answer)
    with pytest.raises(MachineError, match="what answers there is no cluster of Ray"):
        ray_cluster._refuse_unreachable(f"127.0.0.1:{server.getsockname()[1]}")


def test_a_silent_server_is_not_waited_for(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "SECONDS_TO_CONNECT", 0.05)
    with pytest.raises(MachineError, match="what answers there is no cluster of Ray"):
        ray_cluster._refuse_unreachable(f"127.0.0.1:{server.getsockname()[1]}")


def test_a_server_of_grpc_may_be_a_cluster(server: socket.socket) -> None:
    answering(server, bytes([0, 0, 6, 4, 0, 0, 0, 0, 0]))
    ray_cluster._refuse_unreachable(f"127.0.0.1:{server.getsockname()[1]}")


def test_what_ray_prints_goes_to_the_log_and_its_variables_are_taken_back(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "mine")
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    with caplog.at_level(logging.DEBUG, "faster_rcnn"), ray_cluster._silenced(ray_cluster._new_secret()):
        print("(raylet) a worker died\n")
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
        assert os.environ["RAY_AUTH_MODE"] == "token"
        assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert capsys.readouterr().out == ""
    assert "(raylet) a worker died" in caplog.text
    assert os.environ["RAY_AUTH_MODE"] == "mine"
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ


def test_lines_of_native_code_are_dropped_and_later_ones_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with ray_cluster._without_native_lines():
        os.write(2, b"I 123 logging.cc\n")
    print("shown", file=sys.stderr, flush=True)
    assert capfd.readouterr().err == "shown\n"


def test_a_signal_while_ray_starts_ends_as_any_other() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def start() -> None:
        with ray_cluster._own_signals():
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as Ray does
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Signalled) as raised:
        start()
    assert raised.value.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_address_is_checked_before_ray_is_imported() -> None:
    with pytest.raises(OptionError, match="is no address"), connected("nowhere", "auto"):
        pass
