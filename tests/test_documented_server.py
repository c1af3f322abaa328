"""The page about the server: its lines for a shell, its program, and its deployment run as they stand there."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from faster_rcnn.detector import Detector
from faster_rcnn.serving.http.options import ServeOptions, read_keys
from files import image_file, model_file
from pages_of_documentation import DOCS
from served import Served, served

TEXT = (DOCS / "how-to" / "serve.md").read_text(encoding="utf-8")
OF_SHELL = [block for block in re.findall(r"^```bash\n(.*?)^```", TEXT, re.M | re.S) if "docker" not in block]
PROGRAM, DEPLOYMENT = re.findall(r"^```py\n(.*?)^```", TEXT, re.M | re.S)


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served(ServeOptions("runs/cells", precision="float32")) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("photo.jpg", "a.jpg", "b.jpg"):
        image_file(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("bash"), reason="needs curl and bash")
@pytest.mark.parametrize("block", [each for each in OF_SHELL if "curl" in each], ids=lambda block: block[:40])
def test_a_line_with_curl_is_answered(server: Served, folder: Path, block: str) -> None:
    command = block.replace("localhost:8000", f"127.0.0.1:{server.port}")
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert "error" not in answer
    assert len(answer) in (2, 3)  # two images, or the two or three fields of one answer


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_the_line_that_makes_a_key_makes_a_good_one(folder: Path) -> None:
    [line] = [each for each in OF_SHELL if "secrets" in each]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", line], check=True, env=environment)
    assert len(read_keys(Path("keys.txt"))) == 1


def test_the_program_prints_detections(server: Served, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(PROGRAM.replace("localhost:8000", f"127.0.0.1:{server.port}"), "serve.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) > 1


REQUESTS = """
import json
from urllib.request import Request, urlopen
from ray import serve
from deployment import app
serve.start(http_options={"port": PORT})
serve.run(app)
body = open("photo.jpg", "rb").read()
request = Request("http://127.0.0.1:PORT/", body, {"Content-Type": "image/jpeg"})
print("answers:", json.dumps([json.load(urlopen(request)) for _ in range(6)]))
print("replicas:", json.dumps(serve.status().applications["default"].deployments["Detections"].replica_states))
serve.shutdown()
"""


@pytest.mark.skipif(
    find_spec("ray") is None or find_spec("aiohttp_cors") is None, reason="needs Ray Serve: pip install 'ray[serve]'"
)
def test_the_deployment_answers_with_two_replicas(folder: Path) -> None:
    (folder / "runs" / "cells").mkdir(parents=True)
    model_file(folder / "runs" / "cells" / "best.safetensors")
    (folder / "deployment.py").write_text(DEPLOYMENT)
    with socket.create_server(("127.0.0.1", 0)) as free:
        program = REQUESTS.replace("PORT", str(free.getsockname()[1]))
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment, timeout=300
    )
    # Ray prints lines of its own before and after these.
    lines = dict(
        line.split(": ", 1) for line in done.stdout.splitlines() if line.startswith(("answers: ", "replicas: "))
    )
    answers, expected = json.loads(lines["answers"]), Detector.load("runs/cells", device="cpu").predict("photo.jpg")
    assert [each["detections"] for each in answers] == [expected.to_json()["detections"]] * 6
    assert json.loads(lines["replicas"]) == {"RUNNING": 2}
