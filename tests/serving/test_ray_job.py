"""Prediction with Ray: each test that starts a cluster runs the command in a process of its own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from faster_rcnn import Detector
from faster_rcnn.cli.main import main
from faster_rcnn.inference.result import Result
from faster_rcnn.serving import ray_job
from faster_rcnn.serving.ray_job import Parts, Tally, _Actor, _block_length
from faster_rcnn.serving.remote_files import ImageReader
from faster_rcnn.serving.rows import SCHEMA, failed_rows
from faster_rcnn.weights.model_file import load_model, packed_model
from files import image_file, model_file

IMAGES, PART = 200, 50
CONF = 0.2
PREDICT = ["predict", "tiny.safetensors", "photos", "--conf", str(CONF), "--precision", "float32", "--engine", "ray"]
PROGRAM = f"""
import sys
from faster_rcnn.cli.main import main
from faster_rcnn.serving import ray_job
ray_job.IMAGES_OF_A_PART = {PART}
sys.exit(main(sys.argv[1:]))
"""
"""The command with smaller parts, so that few images make several."""

needs_proc = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are found in /proc")
with_ray = pytest.mark.xdist_group("ray")


def rows(name: str, *scores: float) -> pa.Table:
    """The rows of an image with detections of these scores, or of one without any."""
    found: list[dict[str, Any]] = [{"image": name, "label": "cat", "score": score} for score in scores]
    return pa.Table.from_pylist(found or [{"image": name}], schema=SCHEMA)


def test_parts_are_given_when_they_are_whole_in_the_order_of_the_images() -> None:
    parts = Parts(["a", "b", "c", "d", "e"], 2)
    assert list(parts.add(pa.concat_tables([rows("d", 0.5), rows("b")]))) == []
    [first, second] = parts.add(pa.concat_tables([rows("a", 0.25, 0.5), rows("c")]))
    assert first["image"].to_pylist() == ["a", "a", "b"]
    assert second["image"].to_pylist() == ["c", "d"]
    assert parts.missing() == ["e"]
    [last] = parts.add(failed_rows(["e"], "the process ended"))
    assert last["image"].to_pylist() == ["e"]
    assert parts.missing() == []
    assert parts.tally == Tally(images=4, detections=3, failed=1)


def test_an_image_that_comes_twice_counts_once() -> None:
    parts = Parts(["a", "b"], 2)
    assert list(parts.add(rows("a", 0.5))) == []
    assert list(parts.add(rows("a", 0.25))) == []
    [part] = parts.add(rows("b"))
    assert part["score"].to_pylist() == [0.5, None]
    assert parts.tally == Tally(images=2, detections=1)
    assert list(Parts([], 2).add(failed_rows([], ""))) == []


def test_blocks_are_batches_or_fewer_images_for_few_and_more_for_very_many() -> None:
    # 16 batches for each process; 32 images of a batch; 10,000 blocks.
    assert _block_length(5, 2) == 1
    assert _block_length(320, 2) == 10
    assert _block_length(100_000, 2) == 32
    assert _block_length(1_000_000, 2) == 100


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model and with images of 160 pixels, one of which is damaged."""
    folder = tmp_path_factory.mktemp("place")
    model_file(folder / "tiny.safetensors")
    for number in range(IMAGES - 1):
        image_file(folder / "photos" / f"{number:03}.png", 120, 160, seed=number)
    (folder / "photos" / "damaged.jpg").write_bytes(b"no image")
    return folder


class _Batch:
    def predict(self, names: list[str], images: object) -> pa.Table:
        raise ZeroDivisionError("by\nzero")


def test_an_internal_fault_of_one_image_is_its_row_and_of_several_is_raised(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = packed_model(load_model(place / "tiny.safetensors"))
    monkeypatch.setitem(sys.modules, "ray", type("ray", (), {"get": staticmethod(lambda given: given)}))
    monkeypatch.chdir(place)
    actor = _Actor(content, {"conf": CONF, "max_det": 1}, "cpu", ImageReader([]), str(place))  # type: ignore[arg-type]
    found = actor(pa.table({"path": ["photos/000.png", "photos/damaged.jpg", "photos/gone.png"]}))
    assert found["image"].to_pylist() == ["photos/000.png", "photos/damaged.jpg", "photos/gone.png"]
    assert found["error"].to_pylist()[0] is None
    assert found["error"].to_pylist()[2] == "E104 photos/gone.png does not exist"
    actor.batch = _Batch()  # type: ignore[assignment]
    [row] = actor(pa.table({"path": ["a"]})).to_pylist()
    assert row["error"] == "a: internal fault: ZeroDivisionError: by zero"
    with pytest.raises(ZeroDivisionError):
        actor(pa.table({"path": ["a", "b"]}))


def started(place: Path, out: str, *options: str, **environment: str) -> subprocess.Popen[str]:
    """The command, in a session of its own, with its messages in a pipe."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *PREDICT, "--out", out, *options],
        cwd=place,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(place: Path, out: str, *options: str, **environment: str) -> tuple[int, str]:
    """Run the command; gives its exit code and its messages, and checks that it prints no results."""
    process = started(place, out, *options, **environment)
    output, messages = process.communicate(timeout=300)
    assert output == ""
    return process.returncode, messages


def until(found: Callable[[], Any], seconds: float = 240) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := found()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert value
    return value


def actors_of(session: int) -> list[int]:
    """The processes of Ray's workers that have loaded the detector, among the descendants of a process."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            name = (each / "cmdline").read_bytes().split(b"\0")[0]
            fields = (each / "environ").read_bytes()
        except OSError:
            continue  # it has just ended
        works = name.startswith(b"ray::MapWorker") and not name.endswith(b"__init__")
        if works and f"TEST_OF={session}".encode() in fields.split(b"\0"):
            found.append(int(each.name))
    return found


def processes_of(session: int) -> list[str]:
    """Everything that lives with the mark of a test in its environment."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            lives = (each / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
            if lives and f"TEST_OF={session}".encode() in (each / "environ").read_bytes().split(b"\0"):
                found.append((each / "cmdline").read_text())
        except OSError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that has ended."""

    out: Path
    code: int
    output: str
    messages: str


@pytest.fixture(scope="module")
def killed(place: Path) -> Finished:
    """A run of two processes, one of which was killed after a quarter of the images."""
    mark, out = secrets.randbelow(10**9), place / "killed"
    process = started(place, "killed", TEST_OF=str(mark))
    until(lambda: process.poll() is not None or list(out.glob("part-*.parquet")))
    victim, *_ = actors_of(mark)  # the other one may not have started yet
    os.kill(victim, signal.SIGKILL)
    assert len(list(out.glob("part-*.parquet"))) < IMAGES // PART
    output, messages = process.communicate(timeout=300)
    until(lambda: not processes_of(mark), 20)  # the processes of Ray end when they miss their parent
    return Finished(out, process.returncode, output, messages)


@pytest.fixture(scope="module")
def predicted(place: Path) -> dict[str, Result]:
    """What ``Detector.predict`` gives for each image that is not damaged, by its name."""
    detector = Detector.load(place / "tiny.safetensors", precision="float32")
    paths = [path for path in (place / "photos").iterdir() if path.name != "damaged.jpg"]
    return {f"photos/{path.name}": detector.predict(path, CONF) for path in paths}


@needs_proc
@with_ray
def test_a_killed_process_loses_and_doubles_nothing_and_results_are_those_of_predict(
    killed: Finished, predicted: dict[str, Result]
) -> None:
    messages = killed.messages
    assert (killed.code, killed.output) == (2, ""), messages
    assert (
        "warning: E105 cannot decode photos/damaged.jpg: it is not an image of a known format; its row in" in messages
    )
    assert f"{IMAGES - 1} images, " in messages
    assert "1 image failed, see above; Parquet files in killed\n" in messages
    assert "ray" not in messages.lower().replace("ray: 2 processes", "")  # Ray itself prints nothing
    table = parquet.read_table(killed.out)
    assert table.schema.equals(SCHEMA)
    _assert_equal_to_predict(predicted, table)


def _assert_equal_to_predict(predicted: dict[str, Result], table: pa.Table) -> None:
    """Every image is there once, with the detections of ``Detector.predict``."""
    by_image: dict[str, list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        by_image.setdefault(row["image"], []).append(row)
    assert sorted(by_image) == sorted([*predicted, "photos/damaged.jpg"])
    [damaged] = by_image.pop("photos/damaged.jpg")
    assert damaged["error"].startswith("E105 ")
    for name, found in by_image.items():
        expected = predicted[name]
        assert [row["label"] for row in found] == expected.names
        boxes = [[row[each] for each in ("x1", "y1", "x2", "y2")] for row in found]
        np.testing.assert_allclose(boxes, expected.boxes.numpy(), rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose([row["score"] for row in found], expected.scores.numpy(), rtol=1e-5, atol=1e-6)
    assert sum(map(len, by_image.values())) > IMAGES


@needs_proc
@with_ray
def test_a_second_run_does_nothing_and_a_deleted_part_is_done_again(
    place: Path, killed: Finished, predicted: dict[str, Result]
) -> None:
    parts = sorted(killed.out.glob("part-*.parquet"))
    assert len(parts) == IMAGES // PART
    before = parquet.read_table(killed.out).sort_by("image")
    code, messages = run(place, "killed")
    assert code == 2
    assert messages.splitlines()[1:] == [
        f"{IMAGES} images of {IMAGES} are in killed already",
        "0 images, 0 detections; 1 image failed in an earlier run, see the column error; Parquet files in killed",
    ]
    parts[1].unlink()
    with cluster() as (address, secret):
        code, messages = run(place, "killed", "--address", address, **secret)
    assert f"{IMAGES - PART} images of {IMAGES} are in killed already" in messages
    assert f"{IMAGES}/{IMAGES}  in" in messages
    assert f"\n{PART} images, " in messages
    assert sorted(parquet.read_table(killed.out)["image"].to_pylist()) == sorted(before["image"].to_pylist())
    _assert_equal_to_predict(predicted, parquet.read_table(killed.out))


@contextmanager
def cluster() -> Iterator[tuple[str, dict[str, str]]]:
    """A cluster that runs already: its address, and the variables with which it is used."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    folder = Path(f"/tmp/ray-{port}")  # short, since the names of Ray's sockets are limited
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus", "2"]
    command += ["--include-dashboard", "false", "--port", str(port), "--temp-dir", str(folder), "--disable-usage-stats"]
    process = subprocess.Popen(
        command, env={**os.environ, **secret}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        assert any("block forever" in line for line in process.stdout)
        yield f"127.0.0.1:{port}", secret
    finally:
        process.terminate()
        process.communicate(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def test_results_of_another_model_or_other_options_are_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (place / "other").mkdir(exist_ok=True)
    manifest = {"version": 1, "model": "tiny.safetensors", "sha256": "0", "options": {"conf": 0.9}, "sources": []}
    (place / "other" / "_manifest.json").write_text(json.dumps(manifest))
    monkeypatch.chdir(place)
    assert main([*PREDICT, "--out", "other"]) == 2
    output, messages = capfd.readouterr()
    assert output == ""
    [line] = [line for line in messages.splitlines() if "error:" in line]
    assert line.startswith("faster-rcnn: error: E132 --out other holds results of another kind: model tiny.safetensors")
    assert "; conf 0.9 -> 0.2; " in line


@needs_proc
@with_ray
def test_an_interrupted_run_leaves_no_process_and_names_the_command_to_go_on(place: Path) -> None:
    mark = secrets.randbelow(10**9)
    process = started(place, "stopped", TEST_OF=str(mark))
    until(lambda: process.poll() is not None or actors_of(mark))
    os.killpg(process.pid, signal.SIGINT)
    _, messages = process.communicate(timeout=120)
    assert process.returncode == 130, messages
    assert messages.endswith(
        f"images of {IMAGES} are in stopped; go on with: faster-rcnn predict tiny.safetensors photos --engine ray "
        f"--out stopped --conf {CONF} --precision float32\nfaster-rcnn: interrupted\n"
    )
    until(lambda: not processes_of(mark), 20)


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["photos", "--address", "127.0.0.1:9"], 5, "--address 127.0.0.1:9: nothing answers there: Connection refused"),
        (
            ["s3://a:b@bucket/photos?region=eu-west-1&scheme=http&endpoint_override=127.0.0.1:9"],
            5,
            "s3://bucket/photos cannot be read: ",
        ),
    ],
)
def test_what_does_not_answer_ends_the_command(
    place: Path,
    arguments: list[str],
    code: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    assert main(["predict", "tiny.safetensors", *arguments, "--engine", "ray", "--out", "unreachable"]) == code
    assert capfd.readouterr().err.splitlines()[-1].startswith(f"faster-rcnn: error: {line}")


POISON = """
import os, sys


def end(event, arguments):
    if event == "open" and str(arguments[0]).endswith("poison.png") and "RAY_RAYLET_PID" in os.environ:
        os._exit(9)


sys.addaudithook(end)
"""
"""A module that Python imports as it starts: a process of Ray that opens this image ends, as for lack of memory."""


@pytest.mark.soak
@with_ray
def test_an_image_that_ends_its_process_again_and_again_is_a_row_with_the_reason(place: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.safetensors").hardlink_to(place / "tiny.safetensors")
    names = [f"{number:03}.png" for number in range(80)]
    for name in names:
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / name).hardlink_to(place / "photos" / name)
    (tmp_path / "photos" / "005.png").rename(tmp_path / "photos" / "poison.png")
    (tmp_path / "start").mkdir()
    (tmp_path / "start" / "sitecustomize.py").write_text(POISON)
    paths = [str(tmp_path / "start"), *filter(None, sys.path)]
    code, messages = run(tmp_path, "results", PYTHONPATH=os.pathsep.join(paths))
    assert code == 2, messages
    assert "\n79 images, " in messages
    table = parquet.read_table(tmp_path / "results")
    failed = table.filter(table["error"].is_valid())
    assert failed["image"].to_pylist() == ["photos/poison.png"]
    assert failed["error"].to_pylist() == [ray_job.REASON]
    assert len(table["image"].unique()) == 80


def resident(pids: list[int]) -> int:
    """Resident memory of processes, in bytes."""
    total = 0
    for pid in pids:
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            continue
    return total


SOAK_IMAGES = int(os.environ.get("FASTER_RCNN_TEST_RAY_IMAGES", "10000"))


@pytest.mark.soak
@needs_proc
@with_ray
def test_memory_stays_flat_over_very_many_images_and_a_kill(place: Path, tmp_path: Path) -> None:
    """The resident memory of the command and its predicting processes, in the last quarter and in the second."""
    (tmp_path / "tiny.safetensors").hardlink_to(place / "tiny.safetensors")
    (tmp_path / "photos").mkdir()
    for number in range(SOAK_IMAGES):
        (tmp_path / "photos" / f"{number:05}.png").hardlink_to(place / "photos" / f"{number % (IMAGES - 1):03}.png")
    mark = secrets.randbelow(10**9)
    process = started(tmp_path, "many", TEST_OF=str(mark))
    seen: list[tuple[int, int]] = []
    killed = False
    while process.poll() is None:
        parts = len(list((tmp_path / "many").glob("part-*.parquet")))
        actors = actors_of(mark)
        if not killed and parts * PART >= SOAK_IMAGES // 8 and actors:
            os.kill(actors[0], signal.SIGKILL)
            killed = True
        if len(actors) == 2:  # else the one that takes the place of the killed one has not started yet
            seen.append((parts * PART, resident([process.pid, *actors])))
        time.sleep(0.2)
    _, messages = process.communicate()
    assert process.returncode == 0, messages
    assert killed
    images = parquet.read_table(tmp_path / "many", columns=["image"])["image"].unique()
    assert len(images) == SOAK_IMAGES
    quarters = [[size for done, size in seen if low <= 4 * done / SOAK_IMAGES < low + 1] for low in (1, 3)]
    second, last = (sum(each) / len(each) for each in quarters)
    assert last - second < 50 * 2**20
