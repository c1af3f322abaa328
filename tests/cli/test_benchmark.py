"""``faster-rcnn benchmark``: every stage is timed, the numbers add up, and what cannot be timed is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from faster_rcnn.benchmark.report import STAGES, words
from faster_rcnn.benchmark.values import relative_speed
from faster_rcnn.cli.benchmark import benchmark
from faster_rcnn.errors import ImageError, ModelFileError, OptionError
from files import image_file, model_file


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(model_file(tmp_path / "tiny.safetensors"))


def numbers(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_images_are_timed_as_table_json_and_page(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.jpg", "b.png", "c.jpg"):
        image_file(tmp_path / "photos" / name)
    file, out = tmp_path / "speed.json", tmp_path / "speed"
    photos = [str(tmp_path / "photos")]
    assert benchmark(model, images=photos, count=2, rounds=3, precision="float32", out=out, json=str(file)) == 0
    found = numbers(file)
    assert (found["model"], found["random_weights"], found["precision"]) == (model, False, "float32")
    assert (found["images"], found["rounds"], found["made_up_size"]) == (2, 3, None)
    stages = found["seconds"]["stages"]
    assert tuple(stages) == STAGES
    assert all(0 < each["p10"] <= each["median"] <= each["p90"] for each in stages.values())
    assert sum(each["share"] for each in stages.values()) == pytest.approx(1)
    assert found["seconds"]["total"]["median"] > max(each["median"] for each in stages.values())
    rates = found["images_per_second"]
    assert rates["one_at_a_time"] == pytest.approx(1 / found["seconds"]["one_at_a_time"]["median"])
    assert len(rates["stream_of_rounds"]) == 3
    assert rates["stream"] == sorted(rates["stream_of_rounds"])[1]
    floor = found["floor"]
    assert floor["seconds"] == pytest.approx(floor["operations"] / floor["operations_per_second"])
    assert floor["ratio"] == pytest.approx(floor["measured"]["median"] / floor["seconds"])
    assert len(floor["convolutions"]) == 10
    assert found["peak_memory"] > 50e6
    assert found["machine"]["threads"] == torch.get_num_threads()
    assert found["machine"]["onednn_bfloat16"] is False
    assert (found["layout"], found["compared"]) == (None, [])
    table = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in table[1:10]] == [words(name) for name in STAGES]
    assert "2 images, each timed 3 times" in "\n".join(table)
    assert f"{floor['ratio']:.1f} <small>times their lower bound" in (out / "benchmark.html").read_text()


def test_without_images_a_picture_is_made_up(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark(model, image_size=48, count=2, rounds=1, json="-") == 0
    out, err = capsys.readouterr()
    found = json.loads(out)  # and nothing else
    assert (found["images"], found["made_up_size"]) == (2, [48, 64])
    assert "a made-up picture of smooth colours, 64 x 48 pixels" in err


def test_a_preset_has_random_weights_and_torchvision_gives_as_many_detections(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, random_numbers = tmp_path / "speed.json", torch.get_rng_state()
    benchmark(
        "mobile-320",
        image_size=64,
        count=1,
        rounds=1,
        compare="torchvision,onnxruntime,openvino",
        precision="float32",
        json=str(file),
    )
    assert torch.equal(torch.get_rng_state(), random_numbers)
    out, err = capsys.readouterr()
    assert "its weights are random" in err
    assert "mobile-320 with random weights" in out
    found = numbers(file)
    assert found["layout"] == "torchvision:fasterrcnn_mobilenet_v3_large_320_fpn"
    assert [each["name"].split()[0] for each in found["compared"]] == ["ours", "torchvision", "onnxruntime", "openvino"]
    assert {each["precision"] for each in found["compared"]} == {"float32"}
    ours, peer, *exported = found["compared"]
    assert ours["detections"] == peer["detections"]
    assert all(each["detections"] == pytest.approx(ours["detections"], abs=3) for each in exported)
    ratio = peer["seconds"]["median"] / ours["seconds"]["median"]
    assert f"ours is {relative_speed(ratio)}, pixels to boxes" in out
    assert "fasterrcnn_mobilenet_v3_large_320_fpn with the same weights" in out


def test_a_live_stream_is_played(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "speed.json", tmp_path / "speed"
    benchmark(model, image_size=48, count=1, rounds=1, live=20, deadline_ms=1e6, seconds=0.25, out=out, json=str(file))
    live = numbers(file)["live"]
    assert (live["frames"], live["late"], live["deadline"]) == (5, 0, 1000.0)
    assert live["detected"] + live["dropped"] == 5
    assert 0 < live["latency"]["p50"] <= live["latency"]["p99"]
    text = capsys.readouterr().out
    assert "live, 20 fps" in text
    assert "live, 20 fps" in (out / "benchmark.html").read_text()
    with pytest.raises(OptionError, match="E125 --deadline-ms and --seconds are for --live"):
        benchmark(model, seconds=3)


def test_what_cannot_be_timed_is_refused(model: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="E123 there is no model file or run folder 'nothing'"):
        benchmark("nothing")
    with pytest.raises(ModelFileError, match=r"E123 there is no .* preset 'smal'; did you mean 'small'"):
        benchmark("smal")
    with pytest.raises(OptionError, match="E122 no images match"):
        benchmark(model, images=[str(tmp_path / "photos")])
    with pytest.raises(OptionError, match="E125 0 images and 3 rounds: at least one of each is timed"):
        benchmark("mobile-320", count=0)
    with pytest.raises(OptionError, match="E125 1 images and 0 rounds: at least one of each is timed"):
        benchmark("mobile-320", count=1, rounds=0)
    for compare in ("tensorrt", "openvino,openvino", ""):
        with pytest.raises(OptionError, match=f"E125 --compare {compare}: name some of torchvision,onnxruntime,openv"):
            benchmark("mobile-320", compare=compare)
    with pytest.raises(OptionError, match="--image-size 0"):
        benchmark(model, image_size=0)
    with pytest.raises(OptionError, match=r"--out .* is a file"):
        benchmark(model, out=Path(model))
    broken = tmp_path / "broken.jpg"
    broken.write_text("no image")
    with pytest.raises(ImageError, match=r"^E105 cannot decode .*broken\.jpg: .*; it cannot be timed"):
        benchmark(model, images=[str(broken)])


def test_torchvision_has_no_small(model: str) -> None:
    for name in ("small", model):
        with pytest.raises(ModelFileError, match=r"is none of torchvision's detectors.*benchmark mobile-320"):
            benchmark(name, compare="torchvision")
