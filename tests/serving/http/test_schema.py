"""Requests that schemathesis makes of the server's description: no fault of the server, and answers as described."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from faster_rcnn.serving.http.options import Limits, ServeOptions
from served import Served, served

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    options = ServeOptions("runs/cells", precision="float32", limits=Limits(megabytes=1, timeout=60))
    with served(options) as running:
        yield running


def schemathesis(server: Served, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run schemathesis as a command, in a folder that takes its notes."""
    pytest.importorskip("schemathesis", reason="needs: pip install schemathesis")
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", "--checks", CHECKS]
    command += ["--suppress-health-check", "all"]  # of how long requests take to make, on a busy machine
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [*command, *options], capture_output=True, text=True, env=environment, cwd=folder, check=False
    )


def assert_no_fault(server: Served, done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout[-4000:]
    assert "Unresolvable" not in done.stdout
    metrics = server.get("/metrics").body.decode()
    assert 'status="500"' not in metrics
    assert "Traceback" not in metrics


def test_requests_of_the_description_find_no_fault(server: Served, tmp_path: Path) -> None:
    assert_no_fault(
        server, schemathesis(server, tmp_path, "--max-examples", "5", "--phases", "examples,fuzzing", "--seed", "1")
    )


@pytest.mark.soak
def test_requests_of_the_description_find_no_fault_in_two_minutes(server: Served, tmp_path: Path) -> None:
    assert_no_fault(server, schemathesis(server, tmp_path, "--max-time", "120", "--max-examples", "100000"))
