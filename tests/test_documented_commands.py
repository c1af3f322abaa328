"""Every command and every Python block of the README and of the pages runs, in the order of its page."""

from __future__ import annotations

import logging
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.run import get_args_parser

from faster_rcnn.cli.app import app
from faster_rcnn.cli.main import main
from faster_rcnn.demo.digits import make_digits
from faster_rcnn.kernels.int8_layers import weight_limit
from faster_rcnn.settings.presets import PRESETS
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.foreign.layouts import LAYOUTS
from faster_rcnn.weights.model_file import load_model
from files import image_file, model_file
from made_data import make_squares, settings_file
from pages_of_documentation import PAGES, ROOT, code_of, rows
from torchvision_peer import build_peer

DOWNLOAD = "downloads weights; the layout is looked up"
NOT_RUN = {
    "faster-rcnn demo --out runs/demo": "minutes of training; a tiny detector and few pictures take its place",
    "make demo": "minutes; the target is looked up",
    "make test": "this is part of it; the target is looked up",
    "make check": "the formatter, the linter and mypy run for minutes; the target is looked up",
    "make soak": "hours; the target is looked up",
    "make docs": "tests/test_site.py builds the site",
    "pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu": "downloads packages",
    "pip install .": "downloads packages",
    "pip install 'faster-rcnn[serve]'": "downloads packages",
    **dict.fromkeys(
        (
            "faster-rcnn serve runs/cells",
            "faster-rcnn serve runs/cells --host 0.0.0.0 --api-key-file keys.txt",
            "faster-rcnn serve runs/cells --label-studio http://localhost:8080 --label-studio-key-file token.txt",
        ),
        "serves until a signal; tests/serving/http/test_running.py starts servers",
    ),
    "faster-rcnn predict torchvision:fasterrcnn_resnet50_fpn_v2 photo.jpg": DOWNLOAD,
    "faster-rcnn train cells --model base --batch 2 --image-size 640 --set training.flip=0 training.patience=5": (
        "hours of training, and a download of weights; settings are worked out"
    ),
    "faster-rcnn benchmark mobile-320 --compare torchvision,onnxruntime,openvino --json speed.json": (
        "half a minute; tests/cli/test_benchmark.py does the same with one image of 64 pixels"
    ),
    "pip install 'faster-rcnn[ray]'": "downloads packages",
    **dict.fromkeys(
        (
            "faster-rcnn export runs/cells --out cells.onnx",
            "faster-rcnn export runs/cells --out cells.xml --size 480x640",
            "faster-rcnn export runs/cells --out cells.pt2 --size 480x640 --batch 4",
            "faster-rcnn export runs/cells --verify cells.onnx --images photos/a.jpg",
            "faster-rcnn export runs/cells --out cells.xml --preprocess none --precision bfloat16 --images photos",
            "faster-rcnn export runs/cells --out cells8.xml --preprocess none --precision int8 --data cells",
            "faster-rcnn predict cells.onnx photos --json found.jsonl",
            "faster-rcnn evaluate cells.onnx cells",
            "faster-rcnn benchmark cells.onnx --images slide.png",
        ),
        "ten seconds for each file; tests/export and tests/inference/test_exported.py write and run smaller ones",
    ),
    "pip install 'faster-rcnn[video]'": "downloads packages",
    "pip install --no-deps trackers supervision pydeprecate": "downloads packages",
    "pip install scipy defusedxml tqdm requests matplotlib": "downloads packages",
    "faster-rcnn predict runs/cells camera:0 --json -": (
        "needs a camera; tests/cli/test_predict_film.py replaces the camera and runs the rest"
    ),
    "faster-rcnn predict runs/cells s3://photos/2024 --engine ray --address auto --out results": (
        "needs a cluster and a bucket; tests/serving/test_ray_job.py starts a cluster"
    ),
    "faster-rcnn import model_final.pkl --layout detectron2:faster_rcnn_R_50_FPN_3x --out coco.safetensors": (
        "needs a file of Detectron2; tests/weights/foreign/test_detectron2_layout.py writes one; the layout exists"
    ),
    **dict.fromkeys(
        (
            "torchrun --nnodes 2 --node-rank 0 --nproc-per-node 2 --master-addr first --master-port 29500 "
            f"-m faster_rcnn {command}"
            for command in ("predict runs/cells photos --device cpu --json found.jsonl",)
        ),
        "waits for a second machine; the command itself runs above it on one",
    ),
}
"""Commands that are parsed and not run, and why."""

ONE_PROGRAM = ("lesson.md",)
"""Pages whose Python blocks go on with the names of those before them; the blocks of other pages stand alone."""
PRINTS = re.compile(r"# prints (.+)$", re.MULTILINE)
"""What a block of Python prints, as its comment has it."""
TINY = "--config tiny.yaml"
"""Settings of a tiny detector, one epoch."""
DIGITS = "faster-rcnn train digits --out runs/digits --epochs 15 --image-size 240 --set training.flip=0"
"""The training of the tutorial."""
SMALLER = {
    DIGITS: f"{DIGITS.replace('--epochs 15 --image-size 240', '--epochs 1 --image-size 64')} {TINY}",
    "faster-rcnn explain runs/digits digits": "faster-rcnn explain runs/digits digits --advice 0",
    "faster-rcnn train cells": f"faster-rcnn train cells {TINY}",
    **{
        command: f"{command} {TINY}"
        for command in (
            "faster-rcnn train cells --dry-run",
            "faster-rcnn train cells --transform augment.py:grey_patch --preview",
            "faster-rcnn train cells --transform augment.py:grey_patch --out runs/patched",
        )
    },
    "faster-rcnn train cells --transform augment.py:grey_patch --out runs/patched --resume --epochs 24": (
        "faster-rcnn train cells --transform augment.py:grey_patch --out runs/patched --resume --epochs 2"
    ),
    "faster-rcnn train cells --processes 2": f"faster-rcnn train cells --processes 2 {TINY}",
    **{
        command: f"{command} {TINY}"
        for command in (
            "torchrun --standalone --nproc-per-node 2 -m faster_rcnn train cells --out runs/wide --batch 8",
            "torchrun --standalone --nproc-per-node 2 --max-restarts 3 -m faster_rcnn train cells --out runs/long",
        )
    },
    "faster-rcnn train cells --config settings.yaml": (
        "faster-rcnn train cells --config settings.yaml --epochs 1 --image-size 64 --workers 0"
    ),
    "faster-rcnn train cells --out runs/cells --resume --epochs 24": (
        "faster-rcnn train cells --out runs/cells --resume --epochs 2"
    ),
    "faster-rcnn train digits --out runs/digits --resume --epochs 24": (
        "faster-rcnn train digits --out runs/digits --resume --epochs 2"
    ),
    "faster-rcnn train more --weights runs/cells --epochs 2 --out runs/more": (
        "faster-rcnn train more --weights runs/cells --epochs 2 --out runs/more --workers 0"
    ),
    "faster-rcnn train cells --proposals search.safetensors --out runs/fast": (
        f"faster-rcnn train cells --proposals search.safetensors --out runs/fast {TINY}"
    ),
    "faster-rcnn train cells --log tensorboard --out runs/logged": (
        f"faster-rcnn train cells --log tensorboard --out runs/logged {TINY}"
    ),
    "faster-rcnn train cells --set detector.kind=rpn --out runs/rpn": (
        f"faster-rcnn train cells --set detector.kind=rpn --out runs/rpn {TINY}"
    ),
    "faster-rcnn train cells --set training.scheme=alternating --out runs/alternating": (
        f"faster-rcnn train cells --set training.scheme=alternating --out runs/alternating {TINY}"
    ),
    "faster-rcnn compare cells --out runs/comparison": (
        "faster-rcnn compare cells --out runs/comparison --faster runs/cells --fast runs/fast "
        "--proposals search.safetensors --images 1 --rounds 1"
    ),
}
"""Commands that take a while, each with the command that runs in its place: the same, with more options."""


@dataclass(frozen=True, slots=True)
class Step:
    """A line of a shell block, or a whole block of Python, of one page."""

    page: Path
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        shown = self.text if self.language == "sh" else "Python block"
        return f"{self.page.stem} {self.number}: {shown}"


def steps_of(page: Path) -> list[Step]:
    """Everything on a page that a reader runs, in its order; a line of a shell stands without its comment."""
    found = []
    for language, block in re.findall(r"^```(sh|python)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
        lines = [block] if language == "python" else [line.partition("  #")[0].strip() for line in block.splitlines()]
        found += [(language, line) for line in lines if line]
    return [Step(page, number, *each) for number, each in enumerate(found)]


STEPS = [step for page in PAGES for step in steps_of(page)]


@dataclass(slots=True)
class Workplace:
    """A folder with all that the commands of a page name, and how far that page has run in it."""

    folder: Path
    page: Path
    codes: list[int] = field(default_factory=list)
    """Exit codes of the steps that have run."""
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    """What the Python blocks of a page in ``ONE_PROGRAM`` have defined so far."""

    def prepare(self) -> None:
        """Make images, labelled folders, a tiny detector in ``runs/cells``, and settings of a tiny one."""
        for name in ("cells", "more"):
            make_squares(self.folder / name, {"train": 4, "val": 2, "test": 2}, seed=len(name))
        for name in ("photos/a.jpg", "photos/b.png", "slides/a.png", "slide.png", "photo.jpg"):
            image_file(self.folder / name)
        model_file(self.made("runs/cells") / "best.safetensors", ClassMap(("dark", "light"), (3, 7)))
        settings_file(self.folder, epochs=1)
        if "film.mp4" in self.page.read_text(encoding="utf-8"):
            film_file = pytest.importorskip("made_films").film_file
            for name in ("film.mp4", "films/a.mp4", "films/b.mp4"):
                film_file(self.folder / name)
        if "runs/demo/run" in self.page.read_text(encoding="utf-8"):
            make_digits(self.folder / "runs" / "demo" / "digits", train=1, val=1, test=2)
            digits = ClassMap(tuple(map(str, range(10))), tuple(range(10)))
            model_file(self.made("runs/demo/run") / "best.safetensors", digits)
        if "augment.py" in self.page.read_text(encoding="utf-8"):
            first = next((each.text for each in steps_of(self.page) if each.language == "python"), "")
            (self.folder / "augment.py").write_text(first, encoding="utf-8")
        if "checkpoint.pth" in self.page.read_text(encoding="utf-8"):
            peer = build_peer("torchvision:fasterrcnn_resnet50_fpn", outputs=3, seed=0)
            torch.save(peer.state_dict(), self.folder / "checkpoint.pth")

    def made(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True)
        return folder

    def run_until(self, step: Step) -> int:
        """Run all steps of the page up to this one that have not run yet; returns the exit code of this one."""
        for each in steps_of(self.page)[len(self.codes) : step.number + 1]:
            self.codes.append(self._run(each))
        return self.codes[step.number]

    def _run(self, step: Step) -> int:
        if step.language == "python":
            log = logging.getLogger("faster_rcnn")
            level = log.level
            names = self.names if self.page.name in ONE_PROGRAM else {"__name__": "__main__"}
            with redirect_stdout(StringIO()) as printed:
                exec(compile(step.text, str(self.page), "exec"), names)
            log.setLevel(level)  # a block may have changed it
            promised = PRINTS.findall(step.text)
            assert [line for line in printed.getvalue().splitlines() if line in promised] == promised
            return 0
        if step.text in NOT_RUN or (" quantize " in step.text and weight_limit() == 0):
            return 0
        if step.text == "faster-rcnn train cells":
            shutil.rmtree("runs/cells", ignore_errors=True)
        if step.text == "faster-rcnn train cells --out runs/cells --resume":
            leave_interrupted(Path("runs/cells"))
        return run(SMALLER.get(step.text, step.text))


def run(command: str) -> int:
    """Run a line, in this process but for engines and torchrun; ``> FILE`` is all that is understood of a shell."""
    words, _, target = command.partition(" > ")
    name, *arguments = shlex.split(words)
    apart = {"--engine", "--dry-run"} & set(arguments)
    other = ["faster_rcnn"] if apart else ["torch.distributed.run"] if name == "torchrun" else None
    # Ray leaves files open, which count as errors in this process, where shapes of exported graphs are checked, too.
    if other is not None:
        return subprocess.run([sys.executable, "-m", *other, *arguments], timeout=300, check=False).returncode
    if not target:
        return main(arguments)
    with Path(target).open("w", encoding="utf-8") as file, redirect_stdout(file):
        return main(arguments)


def leave_interrupted(folder: Path) -> None:
    """A run that was stopped between its last epoch and its summary, in the place of a finished one."""
    assert run("faster-rcnn train cells --weights runs/cells --epochs 1 --workers 0 --out runs/stopped") == 0
    shutil.rmtree(folder)
    shutil.move("runs/stopped", folder)
    (folder / "summary.json").unlink()


@pytest.fixture(scope="module")
def workplace_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Workplace]:
    """One folder for each page, which all of its steps share."""
    made: dict[Path, Workplace] = {}

    def find(page: Path) -> Workplace:
        if page not in made:
            made[page] = Workplace(tmp_path_factory.mktemp(page.stem), page)
            made[page].prepare()
        return made[page]

    return find


@pytest.mark.parametrize(
    "step", [pytest.param(each, marks=pytest.mark.xdist_group(each.page.stem)) for each in STEPS], ids=str
)
def test_a_step_of_a_page_runs(
    step: Step, workplace_of: Callable[[Path], Workplace], monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace = workplace_of(step.page)
    monkeypatch.chdir(workplace.folder)
    assert workplace.run_until(step) == 0
    for check in CHECKS.get(step.text, ()):
        check()
    if step.text in NOT_RUN:
        pytest.skip(NOT_RUN[step.text])


def _pictures_are_drawn() -> None:
    assert {path.name for path in Path("predictions").glob("*/*")} >= {"a.jpg", "b.png"}


def _both_photos_have_a_line() -> None:
    assert len(Path("found.jsonl").read_text().splitlines()) == 2


def _ranges_are_stored() -> None:
    if weight_limit() > 0:
        assert load_model(Path("quick.safetensors")).ranges is not None


def _the_run_folder_holds_what_its_table_lists() -> None:
    named = {code_of(row[0]) for row in rows(ROOT / "docs" / "how-to" / "runs.md", "What a run folder holds")}
    assert {path.name for path in Path("runs/cells").iterdir()} == named


CHECKS: dict[str, tuple[Callable[[], None], ...]] = {
    "faster-rcnn predict runs/cells photos 'slides/*.png'": (_pictures_are_drawn,),
    "faster-rcnn predict runs/cells photos --conf 0.3 --out found --json found.jsonl": (_both_photos_have_a_line,),
    "faster-rcnn quantize runs/cells cells --out quick.safetensors": (_ranges_are_stored,),
    "faster-rcnn train cells --out runs/cells --resume --epochs 24": (_the_run_folder_holds_what_its_table_lists,),
}
"""What is true after a command has run."""


def test_exceptions_are_still_on_a_page() -> None:
    texts = {step.text for step in STEPS}
    inline = {command for page in PAGES for command in inline_commands(page)}
    assert set(NOT_RUN) <= texts | inline
    assert set(SMALLER) <= texts
    assert set(CHECKS) <= texts


@pytest.mark.parametrize("command", SMALLER)
def test_a_smaller_command_is_the_same_with_other_options(command: str) -> None:
    original, smaller = shlex.split(command), shlex.split(SMALLER[command])
    assert smaller[:3] == original[:3]
    assert {word for word in original if word.startswith("--")} <= set(smaller)


def inline_commands(page: Path) -> list[str]:
    """Commands in the text and the tables of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    code = re.findall(r"`([^`\n]+)`", text)
    return [
        each
        for each in code
        if each.startswith(("faster-rcnn ", "make ", "python ", "torchrun ")) and "NAME" not in each
    ]


COMMANDS = [step.text for step in STEPS if step.language == "sh"]
COMMANDS += [command for page in PAGES for command in inline_commands(page)]


@pytest.mark.parametrize("command", list(dict.fromkeys(COMMANDS)))
def test_every_command_is_understood(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    match shlex.split(command.partition(" > ")[0]):
        case ["faster-rcnn", name] if not name.startswith("-"):
            assert name in app
        case ["faster-rcnn", *arguments]:
            _, bound, _ = app.parse_args(arguments, exit_on_error=False, print_error=False)
            _check_settings(bound.arguments)
        case ["torchrun", *words]:
            of_torchrun, arguments = words[: words.index("-m")], words[words.index("-m") + 1 :]
            get_args_parser().parse_args([*of_torchrun, "script"])
            assert arguments[0] == "faster_rcnn"
            app.parse_args(arguments[1:], exit_on_error=False, print_error=False)
        case ["make", *words]:
            target = words[-1]
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case ["python", "-m", module]:
            assert module == "faster_rcnn"
        case ["python", script, *_]:
            assert (ROOT / script).exists()


def _check_settings(options: dict[str, object]) -> None:
    """Settings, presets and layouts of a command are those that exist; a --config file is one that config printed."""
    config = Path(str(options["config"])) if options.get("config") else None
    if config is not None:
        run(f"faster-rcnn config > {config}")
    if "data" in options and options.get("weights") is None:
        settings = options.get("settings") or ()
        model = options.get("model")
        if model in (None, *PRESETS):
            flags = {name: options.get(name) for name in ("epochs", "batch", "image_size", "seed")}
            resolve_config(model, config, settings, flags)  # type: ignore[arg-type]
    for value in (options.get("layout"), options.get("model")):
        assert not str(value).startswith(("torchvision:", "detectron2:")) or value in LAYOUTS
