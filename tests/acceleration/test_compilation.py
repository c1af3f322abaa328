"""Which shapes are compiled and when, and that a compiled detector finds the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from torch._dynamo.exc import TorchDynamoException

from faster_rcnn import Detector
from faster_rcnn.acceleration import compilation
from faster_rcnn.acceleration.compilation import MAX_SHAPES, ShapeCompiler
from faster_rcnn.errors import MachineError, OptionError
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.model import FasterRCNN
from faster_rcnn.structures import ImageSize
from files import loaded_model, rgb

CPU = torch.device("cpu")
SHAPE = ImageSize(64, 96)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that are logged; nothing is really compiled."""
    lines: list[str] = []
    monkeypatch.setattr(compilation._LOG, "info", lines.append)
    monkeypatch.setattr(compilation, "compiled_model", lambda network, plain: copy(network))
    monkeypatch.setattr(compilation, "found_compiler", lambda: "g++")
    return lines


def chooser() -> ShapeCompiler:
    network = loaded_model().model
    return ShapeCompiler(network, network, CPU)


def test_nothing_is_compiled_unless_a_caller_asks_for_it(made: list[str]) -> None:
    detector = prepare(loaded_model(), CPU, torch.float32, exact=False)
    assert detector.compiler is None
    assert len(list(Predictor(detector).stream((rgb() for _ in range(5)), 0.5))) == 5
    assert made == []


@pytest.mark.parametrize("images", [50, pytest.param(305, marks=pytest.mark.soak)])
@pytest.mark.parametrize("compile", ["auto", False])
def test_a_long_stream_computes_in_one_way(compile: Any, images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ShapeCompiler, "_compile", lambda self, work: pytest.fail("compiled"))
    detector = Detector(loaded_model(), device="cpu", precision="bfloat16", compile=compile)
    results = list(detector.predict(rgb() for _ in range(images)))
    assert all(torch.equal(each.boxes, results[0].boxes) for each in results)


def test_the_first_image_of_each_shape_is_compiled_up_to_a_number_of_shapes(made: list[str]) -> None:
    choose = chooser()
    shapes = [ImageSize(64, 32 * number) for number in range(1, MAX_SHAPES + 3)]
    networks = [choose.model_for(shape) for shape in shapes]
    assert len({id(each) for each in networks[:MAX_SHAPES]}) == 1
    assert choose.model_for(shapes[0]) is networks[0]
    assert networks[MAX_SHAPES] is networks[-1] is not networks[0]
    assert [line for line in made if not line.startswith("compiling for")] == [
        f"{MAX_SHAPES} shapes of images are compiled; others run uncompiled, which is slower"
    ]


def test_compiled_code_is_for_a_number_of_threads(made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    choose = chooser()
    choose.model_for(SHAPE)
    choose.model_for(SHAPE)
    assert made == ["compiling for images of 96x64, once, which takes half a minute or so"]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    choose.model_for(SHAPE)
    assert len(made) == 2


def test_while_a_shape_is_compiled_other_images_wait(made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting, the clock would decide which model computes an image."""
    begun, may_end = Event(), Event()

    def slowly(network: FasterRCNN, plain: FasterRCNN) -> FasterRCNN:
        begun.set()
        assert may_end.wait(10)
        return copy(network)

    monkeypatch.setattr(compilation, "compiled_model", slowly)
    choose = chooser()
    with ThreadPoolExecutor(2) as workers:
        first = workers.submit(choose.model_for, SHAPE)
        assert begun.wait(10)
        second = workers.submit(choose.model_for, SHAPE)
        may_end.set()
        assert first.result(10) is second.result(10) is choose.model_for(SHAPE)
    assert len(made) == 1


def test_the_shapes_of_a_stream_are_compiled_in_the_order_of_its_images(
    made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two images are decoded at the same time; of each pair the first one takes longer."""
    predictor = Predictor(prepare(loaded_model(), CPU, torch.float32, exact=False, compile=True))
    decode = predictor._read

    def slowly(numbered: tuple[int, Any]) -> Any:
        time.sleep(0 if numbered[0] % 2 else 0.05)
        return decode(numbered)

    monkeypatch.setattr(predictor, "_read", slowly)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert len(list(predictor.stream([rgb(40, 40), rgb(40, 60), rgb(40, 80), rgb(60, 40)], 0.5))) == 4
    finally:
        torch.set_num_threads(threads)
    # The short side becomes 64 pixels; all of these sides are multiples of 32.
    assert [line.split()[4].rstrip(",") for line in made] == ["64x64", "96x64", "128x64", "64x96"]


def test_without_a_compiler_there_is_an_error(made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "found_compiler", lambda: None)
    prepare(loaded_model(), CPU, torch.float32, exact=False)
    with pytest.raises(MachineError, match=r"compile=True needs a C\+\+ compiler .* apt install g\+\+"):
        chooser()


def test_nothing_is_compiled_for_a_gpu(made: list[str]) -> None:
    network = loaded_model().model
    with pytest.raises(OptionError, match="E126 compile=True: detectors are compiled on a CPU only"):
        ShapeCompiler(network, network, torch.device("cuda:0"))


def test_a_failing_compiler_is_an_error(made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(network: Any, plain: Any) -> Any:
        raise TorchDynamoException("no luck\nat all")

    monkeypatch.setattr(compilation, "compiled_model", fail)
    with pytest.raises(MachineError, match=r"could not compile the detector: no luck$"):
        chooser().model_for(SHAPE)


SCRIPT = """
import json, sys, torch
from torch._inductor.cpu_vec_isa import pick_vec_isa
from torch.testing import assert_close
if not pick_vec_isa():
    print("no vectors")
    raise SystemExit
from files import loaded_model, rgb
from faster_rcnn.acceleration import compilation
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
torch.set_num_threads(2)
logged, found = [], []
compilation._LOG.info = logged.append
for compile in (False, True):
    loaded = loaded_model(roi={"score_floor": 0.05}, **json.loads(sys.argv[1]))
    detector = prepare(loaded, torch.device("cpu"), torch.float32, exact=False, compile=compile)
    found.append(list(Predictor(detector).stream([rgb(40, 60, seed) for seed in range(4)], 0.05)))
assert len(logged) == 1, logged
for plain, compiled in zip(*found, strict=True):
    assert len(plain) > 5
    assert_close(compiled.boxes, plain.boxes, rtol=1e-3, atol=1e-2)
    assert_close(compiled.scores, plain.scores, rtol=1e-3, atol=1e-4)
    assert compiled.names == plain.names
print("the same")
"""


def test_body_neck_and_rpn_head_are_compiled() -> None:
    plain = loaded_model().model
    network = loaded_model().model
    compiled = compilation.compiled_model(network, plain)
    for before, after in (
        (plain.backbone.body, compiled.backbone.body),
        (plain.backbone.pyramid, compiled.backbone.pyramid),
        (plain.rpn.head, compiled.rpn.head),
    ):
        assert after is not None
        assert after._compiled_call_impl is not None
        assert [*after.parameters()] == [*(before or after).parameters()]
    assert compiled.roi is network.roi
    assert all(each._compiled_call_impl is None for model in (network, plain) for each in model.modules())


ONE_LEVEL = {"backbone": {"neck": "none", "levels": [1]}, "rpn": {"anchor_sizes": [[16, 32, 64]]}}
"""A part of the code to compile."""


@pytest.mark.skipif(compilation.found_compiler() is None, reason="there is no C++ compiler")
@pytest.mark.parametrize(
    "sections", [pytest.param(ONE_LEVEL, id="one level"), pytest.param({}, id="pyramid", marks=pytest.mark.soak)]
)
def test_compiled_and_plain_find_the_same(sections: dict[str, Any], tmp_path: Path) -> None:
    """Runs in a process of its own: the checks of shapes that the test run adds cannot be compiled.

    Its compiler keeps its results in a folder of its own: with those that it kept of a run with other instruction sets
    (``ATEN_CPU_CAPABILITY``) torch 2.14 computed wrong features.

    Two images at once, of which the second one waits until the first one has the shape compiled.
    """
    env = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, json.dumps(sections)]
    run = subprocess.run(command, capture_output=True, text=True, cwd="tests", env=env, check=False)
    if run.stdout.strip() == "no vectors":
        pytest.skip("torch's compiler has no vectors for this processor; its code for the detector needs them")
    assert run.stdout.strip() == "the same", run.stderr
