"""What is compiled, when, and that it finds the same."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from torch._dynamo.exc import TorchDynamoException

from faster_rcnn.errors import MachineError, OptionError
from faster_rcnn.inference import compiling
from faster_rcnn.inference.compiling import AFTER, MOST, Compiling
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.model import FasterRCNN
from faster_rcnn.structures import ImageSize
from files import loaded_model, rgb

CPU = torch.device("cpu")
SHAPE = ImageSize(64, 96)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Told lines; nothing is really compiled."""
    monkeypatch.setattr(compiling, "compiled_form", lambda network, plain: copy(network))
    monkeypatch.setattr(compiling, "_is_faster", lambda compiled, network, shape: True)
    monkeypatch.setattr(compiling, "found_compiler", lambda: "g++")
    return []


def chooser(told: list[str], mode: Any, precision: torch.dtype = torch.bfloat16) -> Compiling:
    network = loaded_model().model
    return Compiling(network, network, mode, CPU, precision, told.append)


def test_auto_compiles_what_a_stream_comes_back_to(made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    choose = chooser(made, "auto")
    plain = choose.network_for(SHAPE, in_stream=True)
    assert all(choose.network_for(SHAPE, in_stream=True) is plain for _ in range(AFTER - 1))
    assert choose.network_for(SHAPE, in_stream=False) is plain  # one image does not wait
    assert made == []
    compiled = choose.network_for(SHAPE, in_stream=True)
    assert compiled is not plain
    assert made == ["compiling for images of 96x64, once, which takes half a minute or so"]
    # From now on every image of the shape goes this way that has as many threads, and no other.
    assert choose.network_for(SHAPE, in_stream=False) is compiled
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert choose.network_for(SHAPE, in_stream=True) is plain
    assert choose.network_for(ImageSize(96, 64), in_stream=True) is plain
    assert len(made) == 1


def test_single_images_never_start_the_compiler(made: list[str]) -> None:
    choose = chooser(made, "auto")
    assert len({id(choose.network_for(SHAPE, in_stream=False)) for _ in range(AFTER + 5)}) == 1


@pytest.mark.parametrize(("mode", "precision"), [(False, torch.bfloat16), ("auto", torch.float32)])
def test_what_is_never_compiled(made: list[str], mode: object, precision: torch.dtype) -> None:
    choose = chooser(made, mode, precision)
    assert len({id(choose.network_for(SHAPE, in_stream=True)) for _ in range(AFTER + 5)}) == 1
    assert made == []


def test_true_compiles_the_first_image_of_each_shape_up_to_a_number_of_shapes(made: list[str]) -> None:
    choose = chooser(made, True)
    shapes = [ImageSize(64, 32 * number) for number in range(1, MOST + 3)]
    networks = [choose.network_for(shape, in_stream=False) for shape in shapes]
    assert len({id(each) for each in networks[:MOST]}) == 1
    assert choose.network_for(shapes[0], in_stream=False) is networks[0]
    assert networks[MOST] is networks[-1] is not networks[0]
    assert [line for line in made if not line.startswith("compiling for")] == [
        f"{MOST} shapes of images are compiled; others are looked at without, which is slower"
    ]


def test_while_one_image_has_its_shape_compiled_the_others_do_not_wait(
    made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiling_now, others_were_seen = Event(), Event()

    def slowly(network: FasterRCNN, plain: FasterRCNN) -> FasterRCNN:
        compiling_now.set()
        assert others_were_seen.wait(10)
        return copy(network)

    monkeypatch.setattr(compiling, "compiled_form", slowly)
    choose = chooser(made, "auto")
    plain = [choose.network_for(SHAPE, in_stream=True) for _ in range(AFTER)][-1]
    with ThreadPoolExecutor(1) as worker:
        compiled = worker.submit(choose.network_for, SHAPE, True)
        assert compiling_now.wait(10)
        assert choose.network_for(SHAPE, in_stream=True) is plain
        others_were_seen.set()
        assert compiled.result() is choose.network_for(SHAPE, in_stream=True) is not plain
    assert len(made) == 1


def test_without_a_compiler_auto_says_so_once_and_true_stops(made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "found_compiler", lambda: None)
    choose = chooser(made, "auto")
    assert len({id(choose.network_for(SHAPE, in_stream=True)) for _ in range(AFTER + 5)}) == 1
    [line] = made
    assert line.startswith("no C++ compiler (g++ or clang++) was found")
    with pytest.raises(MachineError, match=r"compile=True needs one\. apt install g\+\+"):
        chooser(made, True)


@pytest.mark.parametrize("mode", ["auto", True])
def test_what_is_compiled_and_not_faster_is_not_used(
    made: list[str], mode: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "_is_faster", lambda compiled, network, shape: False)
    choose = chooser(made, mode)
    assert len({id(choose.network_for(SHAPE, in_stream=True)) for _ in range(AFTER + 5)}) == 1
    assert made[1:] == ["the compiled detector is not faster on this machine, so images are looked at without"]


def test_faster_is_what_takes_less_time(monkeypatch: pytest.MonkeyPatch) -> None:
    network = loaded_model().model
    seconds = {id(network): 2.0}
    monkeypatch.setattr(compiling, "timed", lambda work, device: (seconds.get(id(work.args[0]), 1.0), None))
    other = copy(network)
    assert compiling._is_faster(other, network, SHAPE)
    assert not compiling._is_faster(network, other, SHAPE)


def test_on_a_gpu_only_auto_is_taken(made: list[str]) -> None:
    network = loaded_model().model
    with pytest.raises(OptionError, match="E126 compile=True: only what is on a CPU is compiled"):
        Compiling(network, network, True, torch.device("cuda:0"), torch.bfloat16, made.append)
    choose = Compiling(network, network, "auto", torch.device("cuda:0"), torch.bfloat16, made.append)
    assert len({id(choose.network_for(SHAPE, in_stream=True)) for _ in range(AFTER + 5)}) == 1


def test_a_compiler_that_fails_is_told(made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(network: Any, plain: Any) -> Any:
        raise TorchDynamoException("no luck\nat all")

    monkeypatch.setattr(compiling, "compiled_form", fail)
    choose = chooser(made, "auto")
    assert len({id(choose.network_for(SHAPE, in_stream=True)) for _ in range(AFTER + 5)}) == 1
    assert made[1:] == ["torch could not compile the detector, so it works without: no luck"]
    with pytest.raises(MachineError, match="could not compile the detector: no luck"):
        chooser(made, True).network_for(SHAPE, in_stream=False)


def test_the_predictor_counts_the_images_of_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    predictor = Predictor(loaded_model(), CPU, torch.float32, exact=False, compile="auto", tell=told.append)
    seen: list[tuple[ImageSize, bool]] = []

    def note(shape: ImageSize, in_stream: bool) -> FasterRCNN:
        seen.append((shape, in_stream))
        return predictor.network

    monkeypatch.setattr(predictor.compiling, "network_for", note)
    predictor.predict_one(rgb(40, 60), 0.5)
    list(predictor.stream([rgb(40, 60), rgb(60, 40)], 0.5))
    # Short side 64, so 64 x 96 and 96 x 64; both are multiples of the coarsest stride, 32.
    assert seen == [(ImageSize(64, 96), False), (ImageSize(64, 96), True), (ImageSize(96, 64), True)]


SCRIPT = """
from unittest.mock import Mock
import torch
from torch._inductor.cpu_vec_isa import pick_vec_isa
from torch.testing import assert_close
if not pick_vec_isa():
    print("no vectors")
    raise SystemExit
from files import loaded_model, rgb
from faster_rcnn.inference import compiling
from faster_rcnn.inference.predictor import Predictor
torch.set_num_threads(2)
compiling._is_faster = Mock(return_value=True)
told, found = [], []
for compile in (False, True):
    predictor = Predictor(
        loaded_model(roi={"score_floor": 0.05}), torch.device("cpu"), torch.float32, exact=False,
        compile=compile, tell=told.append,
    )
    found.append(list(predictor.stream([rgb(40, 60, seed) for seed in range(4)], 0.05)))
assert len(told) == 1, told
assert compiling._is_faster.called
for plain, compiled in zip(*found, strict=True):
    assert len(plain) > 5
    assert_close(compiled.boxes, plain.boxes, rtol=1e-3, atol=1e-2)
    assert_close(compiled.scores, plain.scores, rtol=1e-3, atol=1e-4)
    assert compiled.names == plain.names
print("the same")
"""


@pytest.mark.skipif(compiling.found_compiler() is None, reason="there is no C++ compiler")
def test_compiled_and_plain_find_the_same(tmp_path: Path) -> None:
    """In a process of its own: the checks of shapes that the test run adds cannot be compiled.

    Its compiler keeps its results in a folder of its own: with those that it kept of a run with other instruction sets
    (``ATEN_CPU_CAPABILITY``) torch 2.14 computed wrong features.

    Two images at once, of which the first one has the shape compiled and the second one does not wait.
    """
    env = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", SCRIPT]
    run = subprocess.run(command, capture_output=True, text=True, cwd="tests", env=env, check=False)
    if run.stdout.strip() == "no vectors":
        pytest.skip("torch's compiler has no vectors for this processor; its code for the detector needs them")
    assert run.stdout.strip() == "the same", run.stderr
