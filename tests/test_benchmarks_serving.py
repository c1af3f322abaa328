"""The soak of the server: a small one in every run of the tests, the whole one in `make soak`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from benchmark_scripts import assert_judged, bars_in, run, script
from faster_rcnn.building import build_model
from faster_rcnn.settings.presets import preset
from faster_rcnn.weights.model_file import save_model
from files import CLASSES, image_file, model_file

SHAPES = ((40, 60), (80, 60), (100, 150))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for seed, size in enumerate(SHAPES):
        image_file(tmp_path / "images" / f"{seed}.jpg", *size, seed=seed)
    return tmp_path / "images"


def test_a_small_soak(tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = model_file(tmp_path / "tiny.safetensors", roi={"score_floor": 0.05})
    code = run("serving", "--model", model, "--images", images, "--requests", 200, "--clients", 8)
    out = capsys.readouterr().out
    bars = bars_in(out)
    assert_judged(code, bars, 4)
    found = re.search(r"processor time of each: .* ms in the server, (.*) ms in the clients, .* ms by predict", out)
    assert found is not None
    assert float(found[1]) > 0
    # The time and the memory of a detector as tiny as this one are those of HTTP; the answers and the end count.
    assert [bar[-1] for bar in bars if bar[0].startswith(("answers", "exit code"))] == ["met", "met"]


@pytest.mark.soak
def test_the_whole_soak(tmp_path: Path, images: Path) -> None:
    config = preset("small")
    save_model(tmp_path / "small.safetensors", build_model(config, 3), config, CLASSES)
    assert run("serving", "--model", tmp_path / "small.safetensors", "--images", images) == 0


@pytest.mark.soak
def test_a_soak_of_images_that_are_detected_together(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_file(tmp_path / "tiny.safetensors", roi={"score_floor": 0.05})
    run("serving", "--model", model, "--images", images, "--requests", 2000, "--batch", 4)
    assert bars_in(capsys.readouterr().out)[0][-1] == "met"


def test_plans_are_made_of_a_seed_and_have_their_share_of_bad_bodies() -> None:
    images = [b"a" * 1000, b"b" * 1000]
    plan = script("serving").planned(images, 2000, 0.1)
    assert [body.kind for body in plan] == [body.kind for body in script("serving").planned(images, 2000, 0.1)]
    bad = [body for body in plan if body.image is None]
    assert 150 < len(bad) < 250
    assert {body.kind for body in plan} == {
        "good", "mislabelled image", "damaged", "garbage", "empty", "huge", "many pixels", "mislabelled",
        "no multipart",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "reply", "fault"),
    [
        (200, {"predictions": [{"box": [1, 2, 3, 4], "confidence": 0.5, "class_id": 7}]}, None),
        (
            200,
            {"predictions": [{"box": [1, 2, 3, 4.1], "confidence": 0.5, "class_id": 7}]},
            "a number differs by 0.025",
        ),
        (200, {"predictions": []}, "0 detections instead of 1"),
        (500, {"error": "x"}, "status 500, expected (200,)"),
        (200, {"error": "Traceback (most"}, "a traceback"),
    ],
)
def test_an_answer_is_compared(status: int, reply: Any, fault: str | None) -> None:
    module = script("serving")
    body = module.Body("good", b"", "image/png", (200,), 0)
    found = module.fault_of(body, status, reply, [[[1, 2, 3, 4, 0.5, 7]]], 0.0)
    assert found is None if fault is None else fault in found


def test_growth_is_that_of_the_second_half() -> None:
    assert script("serving").growth([0, 0, 5, 5, 9, 9, 20, 20]) == 15
    assert script("serving").growth([3.0]) == 0
