from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, Protocol

import pytest

from faster_rcnn import __version__
from faster_rcnn.cli.app import app
from faster_rcnn.cli.main import main
from faster_rcnn.errors import (
    DatasetError,
    DivergedError,
    LostProcessError,
    MachineError,
    VerificationError,
)
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.system.console import say, warn
from faster_rcnn.system.signals import Signalled

COMMANDS = tuple(name for name in app if not name.startswith("-"))
HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "pydantic",
    "hotcoco",
    "PIL",
    "matplotlib",
    "ray",
    "pyarrow",
    "fastapi",
    "uvicorn",
    "prometheus_client",
    "pandas",
)


class Fake(Protocol):
    def __call__(self, name: str, action: Callable[[], int] = ...) -> dict[str, Any]: ...


@pytest.fixture
def fake_command(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Replaces the body of a command, and records the arguments that its options give."""

    def install(name: str, action: Callable[[], int] = lambda: 0) -> dict[str, Any]:
        call: dict[str, Any] = {}
        real = app[name].default_command
        assert real is not None

        @wraps(real)
        def body(*args: Any, **kwargs: Any) -> int:
            bound = signature(real).bind(*args, **kwargs)
            bound.apply_defaults()
            call.update(bound.arguments)
            return action()

        monkeypatch.setattr(app[name], "default_command", body)
        return call

    return install


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replaces the training, and records how the command calls it."""
    call: dict[str, Any] = {}
    monkeypatch.setattr(
        "faster_rcnn.training.launch.train_or_launch", lambda *args, **kwargs: call.update(args=args, **kwargs)
    )
    return call


def run(line: str) -> int:
    return main(line.split())


def in_new_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("arguments", [(), *((command,) for command in COMMANDS)])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    program = (
        "import sys; from faster_rcnn.cli.main import main; code = main([*sys.argv[1:], '--help'])\n"
        f"print(code, [name for name in {HEAVY} if name in sys.modules])"
    )
    result = in_new_process("-c", program, *arguments)
    assert result.stdout.splitlines()[-1] == "0 []"
    assert result.stderr == ""


def test_help_takes_a_quarter_of_the_time_of_importing_torch_at_most() -> None:
    """Half a second where importing torch takes two."""

    def seconds(*arguments: str) -> float:
        """Seconds of computing, so that other work on the machine does not count."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert in_new_process(*arguments).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    rounds = [(seconds("-m", "faster_rcnn", "--help"), seconds("-c", "import torch")) for _ in range(3)]
    assert min(ours / torchs for ours, torchs in rounds) < 0.25


@pytest.mark.parametrize(
    ("line", "same"),
    [("help train", "train --help"), ("help", "--help"), ("-h", "--help"), ("val --help", "evaluate --help")],
)
def test_help_as_a_word(line: str, same: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line) == 0
    found = capsys.readouterr().out
    assert run(same) == 0
    assert found == capsys.readouterr().out


@pytest.mark.parametrize("line", ["--quiet demo", "demo -q"])
def test_quiet_commands_show_results_warnings_and_errors(
    fake_command: Fake, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def action() -> int:
        say("working")
        warn("odd")
        print("result")
        raise DatasetError("no labels")

    fake_command("demo", action)
    assert run(line) == 2
    assert capsys.readouterr() == ("result\n", "warning: odd\nfaster-rcnn: error: no labels\n")


def test_options_for_all_commands_end_where_names_begin(fake_command: Fake) -> None:
    call = fake_command("predict")
    assert run("predict m -- -q --debug -") == 0
    assert call["source"] == ["-q", "--debug", "/dev/stdin"]


@pytest.mark.parametrize("line", ["predict m - --json -", "predict m --json - -", "predict m --conf 0.3 -"])
def test_a_dash_among_the_sources_is_standard_input(fake_command: Fake, line: str) -> None:
    call = fake_command("predict")
    assert run(line) == 0
    assert call["source"] == ["/dev/stdin"]
    assert call["json"] in ("-", None)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_names_of_standard_output_are_a_dash(fake_command: Fake, name: str) -> None:
    call = fake_command("predict")
    assert run(f"predict m a.jpg --json {name}") == 0
    assert call["json"] == "-"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_names_are_printed_in_any_encoding(encoding: str) -> None:
    program = (
        "import sys\n"
        "from faster_rcnn.cli.app import app\n"
        "from faster_rcnn.cli.main import main\n"
        "app.command(lambda: print('红枣') or sys.stderr.write('\\udce9'), name='names')\n"
        "sys.exit(main(['names']))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment, check=False)
    assert (done.stdout, done.stderr) == (b"\\u7ea2\\u67a3\n", b"\\udce9")
    for command in ("predict", "compare"):
        arguments = [sys.executable, "-m", "faster_rcnn", command, "--help"]
        assert subprocess.run(arguments, capture_output=True, env=environment, check=False).returncode == 0


def test_train_passes_every_flag_on(training: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    line = (
        "train cells --model base --weights w --out o --epochs 3 --batch 2 --lr 1e-2 --image-size 320 --seed 1 "
        "--workers 0 --device cpu --precision bfloat16 --threads 3 --processes 2 --config c.yaml --set a.b=1 c.d=[1,2] "
        "--set e.f=-3 --proposals p --resume --log mlflow --transform a.py:turn"
    )
    assert main(line.split()) == 0
    options = TrainOptions(
        model="base", weights="w", out=Path("o"), config=Path("c.yaml"), settings=["a.b=1", "c.d=[1,2]", "e.f=-3"],
        proposals=Path("p"), resume=True, epochs=3, batch=2, lr=0.01, image_size=320, seed=1, workers=0, device="cpu",
        precision="bfloat16", threads=3, processes=2, val_share=None, log="mlflow", transform="a.py:turn",
    )  # fmt: skip
    assert training == {"args": (Path("cells"), options)}
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"faster-rcnn {__version__}: training on cells\n")


def test_names_of_other_tools_are_taken(training: dict[str, Any], fake_command: Fake) -> None:
    assert run("train cells --imgsz 320") == 0
    assert training == {"args": (Path("cells"), TrainOptions(image_size=320))}
    for command in ("benchmark m", "compare cells"):
        call = fake_command(command.split()[0])
        assert run(f"{command} --imgsz 320") == 0
        assert call["image_size"] == 320
    call = fake_command("evaluate")
    assert run("val m cells --split test") == 0
    assert (call["model"], call["split"]) == ("m", "test")


def test_epochs_may_be_auto(training: dict[str, Any]) -> None:
    assert main(["train", "cells", "--epochs", "auto"]) == 0
    assert training == {"args": (Path("cells"), TrainOptions(epochs="auto"))}


def test_the_batch_may_be_auto(training: dict[str, Any]) -> None:
    assert main(["train", "cells", "--batch", "auto"]) == 0
    assert training == {"args": (Path("cells"), TrainOptions(batch="auto"))}


def test_train_leaves_what_is_not_given_to_the_settings(training: dict[str, Any]) -> None:
    assert main(["train", "cells"]) == 0
    assert training == {"args": (Path("cells"), TrainOptions())}


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        (
            "evaluate m cells --split val --precision float32 --json - --proposals p --tile 640 --overlap 0.3 "
            "--classes a,b --iou 0.4 --agnostic-nms --batch 4 --against n --out page --conf auto "
            "--keep-thresholds o",
            {
                "model": "m", "data": Path("cells"), "split": "val", "precision": "float32", "json": "-",
                "proposals": Path("p"), "tile": 640, "overlap": 0.3, "device": "auto", "settings": None,
                "classes": "a,b", "iou": 0.4, "agnostic_nms": True, "batch": 4, "against": "n", "out": Path("page"),
                "conf": "auto", "keep_thresholds": Path("o"),
            },
        ),
        (
            "proposals cells --method rpn --model m --out p",
            {
                "data": Path("cells"), "method": "rpn", "model": "m", "mode": "fast", "out": Path("p"), "count": 2000,
                "json": None, "device": "auto",
            },
        ),
        (
            "recall cells --proposals p q --proposals r --split val --plot f.svg --json -",
            {
                "data": Path("cells"), "proposals": [Path("p"), Path("q"), Path("r")], "split": "val",
                "plot": Path("f.svg"), "json": "-",
            },
        ),
        (
            "predict m a.jpg b/ --conf 0.25 c.png --max-det 9 --precision int8 --out o --json x --tile 800",
            {
                "model": "m", "source": ["a.jpg", "b/", "c.png"], "conf": 0.25, "max_det": 9, "precision": "int8",
                "out": Path("o"), "json": "x", "proposals": None, "tile": 800, "overlap": None, "classes": None,
                "iou": None, "agnostic_nms": False, "device": "auto", "settings": None, "save": None, "every": None,
                "engine": None, "address": None, "batch": None,
            },
        ),
        (
            "import w.pth --layout torchvision:x --classes a,b --out m",
            {
                "file": Path("w.pth"), "layout": "torchvision:x", "classes": "a,b", "out": Path("m"),
                "settings": None, "key": None,
            },
        ),
        (
            "export runs/pets --layout torchvision:x --out pets.pth",
            {
                "model": "runs/pets", "layout": "torchvision:x", "out": Path("pets.pth"), "format": None,
                "batch": "dynamic", "size": "dynamic", "nms": "in-graph", "preprocess": "in-graph", "images": None,
                "verify": None, "precision": "float32", "data": None, "split": None,
            },
        ),
        (
            "export pets --format onnx --batch 4 --size 480x640 --nms none --preprocess none --images a b --out p.onnx",
            {
                "model": "pets", "layout": None, "out": Path("p.onnx"), "format": "onnx", "batch": "4",
                "size": "480x640", "nms": "none", "preprocess": "none", "images": ["a", "b"], "verify": None,
                "precision": "float32", "data": None, "split": None,
            },
        ),
        (
            "export pets --precision int8 --data pets --split val --out p.xml",
            {
                "model": "pets", "layout": None, "out": Path("p.xml"), "format": None, "batch": "dynamic",
                "size": "dynamic", "nms": "in-graph", "preprocess": "in-graph", "images": None, "verify": None,
                "precision": "int8", "data": Path("pets"), "split": "val",
            },
        ),
        (
            "export pets --verify p.onnx",
            {
                "model": "pets", "layout": None, "out": None, "format": None, "batch": "dynamic", "size": "dynamic",
                "nms": "in-graph", "preprocess": "in-graph", "images": None, "verify": Path("p.onnx"),
                "precision": "float32", "data": None, "split": None,
            },
        ),
        (
            "quantize runs/pets pets --out fast --count 9 --split val --json - --device cpu",
            {
                "model": "runs/pets", "data": Path("pets"), "out": Path("fast"), "count": 9, "split": "val",
                "json": "-", "device": "cpu",
            },
        ),
        (
            "quantize runs/pets pets --out fast",
            {
                "model": "runs/pets", "data": Path("pets"), "out": Path("fast"), "count": 32, "split": None,
                "json": None, "device": "auto",
            },
        ),
        (
            "benchmark m --images a.jpg b --image-size 320 --count 5 --rounds 2 --precision float32 --compile "
            "--compare torchvision --target-ms 40 --live 30 --deadline-ms 20 --seconds 2 --data cells --split val "
            "--out o --json -",
            {
                "model": "m", "images": ["a.jpg", "b"], "image_size": 320, "count": 5, "rounds": 2,
                "precision": "float32", "compare": "torchvision", "compile": True, "target_ms": 40,
                "live": 30, "deadline_ms": 20, "seconds": 2, "data": Path("cells"), "split": "val", "out": Path("o"),
                "json": "-", "device": "auto",
            },
        ),
        (
            "serve runs/pets --host 0.0.0.0 --port 80 --workers 2 --conf 0.3 --max-det 9 --batch 4 --precision float32 "
            "--set roi.nms_iou=0.6 --api-key-file k --max-megabytes 1 --max-megapixels 2 --max-images 3 --queue 5 "
            "--timeout 6 --label-studio http://ls --label-studio-key-file t",
            {
                "model": "runs/pets", "host": "0.0.0.0", "port": 80, "workers": 2, "conf": 0.3, "max_det": 9,
                "batch": 4, "precision": "float32", "device": "auto", "settings": ["roi.nms_iou=0.6"],
                "api_key_file": Path("k"), "max_megabytes": 1, "max_megapixels": 2, "max_images": 3, "queue": 5,
                "timeout": 6, "label_studio": "http://ls", "label_studio_key_file": Path("t"),
            },
        ),
        ("demo", {"out": None, "device": "auto"}),
        ("config", {"model": "small"}),
        (
            "check cells --fix mended --strict --out report --model base",
            {
                "data": Path("cells"), "fix": Path("mended"), "strict": True, "out": Path("report"), "model": "base",
                "settings": None,
            },
        ),
    ],
)  # fmt: skip
def test_options_become_arguments(line: str, arguments: dict[str, Any], fake_command: Fake) -> None:
    call = fake_command(line.partition(" ")[0])
    assert run(line) == 0
    assert call == arguments


@pytest.mark.parametrize("line", ["evaluate m d", "predict m s", "quantize m d --out o", "benchmark m", "compare d",
                                  "proposals d --method rpn --out o", "train d", "demo", "serve m"])  # fmt: skip
def test_every_command_that_runs_a_model_takes_a_device(line: str, fake_command: Fake) -> None:
    call = fake_command(line.partition(" ")[0])
    assert run(f"{line} --device cuda:1") == 0
    given = call if "device" in call else vars(call["options"])
    assert given["device"] == "cuda:1"


def failing(error: BaseException) -> Callable[[], int]:
    def action() -> int:
        raise error

    return action


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DatasetError("no labels in x", code="E115"), 2, "error: E115 no labels in x"),
        (DivergedError("a loss became inf"), 3, "error: a loss became inf"),
        (VerificationError("not the same"), 4, "error: not the same"),
        (MachineError("no network"), 5, "error: no network"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/a"), 5, "error: No space left on device: runs/a"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 5, "error: Permission denied: /x"),
        (
            OSError(errno.ELOOP, "Too many levels of symbolic links", "/x"),
            5,
            "error: Too many levels of symbolic links: /x",
        ),
        (DatasetError("a\x1b[2Jb\nwarning: \u202e"), 2, "error: a\\x1b[2Jb\\nwarning: \\u202e"),
        (MemoryError(), 5, "error: out of memory"),
        (OutOfMemoryError("CUDA out of memory"), 5, "error: out of memory: CUDA out of memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (Signalled(signal.SIGTERM), 143, "interrupted"),
        (
            ZeroDivisionError("by\nzero"),
            1,
            "internal fault: ZeroDivisionError: by zero (run again with --debug for the traceback)",
        ),
    ],
)
def test_every_fault_is_one_line_and_an_exit_code(
    fake_command: Fake, error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_command("demo", failing(error))
    assert main(["demo"]) == code
    assert capsys.readouterr().err.splitlines() == [f"faster-rcnn: {line}"]


@pytest.mark.parametrize("error", [LostProcessError("another one ended"), Signalled(signal.SIGINT)])
def test_where_the_command_supervises_its_processes_it_reports_their_end(
    fake_command: Fake, error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    launched(monkeypatch, 0, role="faster-rcnn")
    fake_command("demo", failing(error))
    assert main(["demo"]) in (5, 130)
    assert capsys.readouterr().err == ""
    launched(monkeypatch, 0)
    assert main(["demo"]) in (5, 130)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_error_whose_clean_up_a_launcher_ends_is_reported(
    fake_command: Fake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def action() -> int:
        try:
            raise DatasetError("no labels in x")
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    fake_command("demo", action)
    assert run("demo") == 143  # of a process alone, somebody has ended it
    launched(monkeypatch, 0)
    assert run("demo") == 2
    assert capsys.readouterr().err.splitlines() == ["faster-rcnn: interrupted", "faster-rcnn: error: no labels in x"]


def test_a_launcher_cannot_interrupt_the_line_about_an_error(
    fake_command: Fake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class UnprintableError(DatasetError):
        def __str__(self) -> str:
            os.kill(os.getpid(), signal.SIGTERM)
            return "no labels in x"

    launched(monkeypatch, 0)
    before = signal.getsignal(signal.SIGTERM)
    fake_command("demo", failing(UnprintableError("")))
    assert run("demo") == 2
    assert capsys.readouterr().err == "faster-rcnn: error: no labels in x\n"
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("rank", "role", "lines"), [(0, "default", 1), (1, "default", 0), (0, "faster-rcnn", 0), (1, "faster-rcnn", 0)]
)
def test_the_first_line_of_several_processes_is_shown_once(
    training: dict[str, Any],
    rank: int,
    role: str,
    lines: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    launched(monkeypatch, rank, role)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run("train cells") == 0
    assert len(capsys.readouterr().err.splitlines()) == lines


def launched(monkeypatch: pytest.MonkeyPatch, rank: int, role: str = "default") -> None:
    """Let this process be one of several, which torch's launcher or the command started."""
    for name, value in {"TORCHELASTIC_RUN_ID": "a", "RANK": str(rank), "ROLE_NAME": role}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("faster_rcnn.cli.main.end_with_launcher", lambda: None)


@pytest.mark.parametrize("line", ["--debug demo", "demo --debug"])
def test_debug_shows_the_traceback_and_keeps_the_exit_code(
    fake_command: Fake, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_command("demo", failing(DatasetError("no labels\x1b[2J")))
    assert main(line.split()) == 2
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert "Traceback (most recent call last)" in err
    assert err.endswith("no labels\\x1b[2J\nfaster-rcnn: error: no labels\\x1b[2J\n")


def test_what_is_logged_is_a_warning_and_what_pillow_logs_is_not_printed() -> None:
    code = (
        "import logging, sys\n"
        "from faster_rcnn.cli.app import app\n"
        "from faster_rcnn.cli.main import main\n"
        "def log():\n"
        "    logging.getLogger('PIL.TiffImagePlugin').error('More samples per pixel than can be decoded')\n"
        "    logging.getLogger('faster_rcnn.data').warning('odd')\n"
        "    return 0\n"
        "app['doctor'].default_command = log\n"
        "sys.exit(main(['doctor']))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode, result.stderr.splitlines()[-1]) == (0, "warning: odd")
    assert "samples" not in result.stderr


def test_a_command_chooses_its_exit_code(fake_command: Fake) -> None:
    fake_command("doctor", lambda: 5)
    assert main(["doctor"]) == 5


def test_sigterm_unwinds_the_command(fake_command: Fake) -> None:
    saved: list[str] = []

    def action() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        except KeyboardInterrupt:
            saved.append("state")
            raise
        return 0

    before = signal.getsignal(signal.SIGTERM)
    fake_command("demo", action)
    assert main(["demo"]) == 143
    assert saved == ["state"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_full_standard_output_is_reported_once() -> None:
    command = f"{sys.executable} -m faster_rcnn config > /dev/full"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode, result.stderr) == (
        5,
        "faster-rcnn: error: standard output: No space left on device, so results are lost; send them to a file where "
        "there is room\n",
    )


def test_a_closed_pipe_is_quiet() -> None:
    command = f"set -o pipefail; {sys.executable} -m faster_rcnn config | true; echo $?"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout in ("141\n", "0\n")  # 0 where all was written before the reader had gone
    assert result.stderr == ""
