"""``faster-rcnn benchmark``: every stage is timed, the numbers add up, and what cannot be timed is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from faster_rcnn.benchmark.report import GROUPS, STAGES, Benchmark, words, write_benchmark
from faster_rcnn.benchmark.roofline import Convolution, Floor
from faster_rcnn.benchmark.stages import ImageTimes
from faster_rcnn.benchmark.timing import Amount
from faster_rcnn.benchmark.values import Contender, Machine, Spread, Used, relative_speed
from faster_rcnn.cli.bodies import benchmark as job
from faster_rcnn.data.decode import read_image
from faster_rcnn.errors import ImageError, ModelFileError, OptionError
from faster_rcnn.images import resize
from faster_rcnn.settings.presets import PRESETS, preset
from faster_rcnn.structures import ImageSize
from files import image_file, model_file

ONCE = Amount(1, 1)


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
    amount, photos = Amount(2, 3), [str(tmp_path / "photos")]
    assert job.run(model, images=photos, amount=amount, precision="float32", out=out, json=str(file)) == 0
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
    assert f"{floor['ratio']:.1f} <small>times their floor" in (out / "benchmark.html").read_text()


def test_without_images_a_picture_is_made_up(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert job.run(model, image_size=48, amount=Amount(2, 1), json="-") == 0
    out, err = capsys.readouterr()
    found = json.loads(out)  # and nothing else
    assert (found["images"], found["made_up_size"]) == (2, [48, 64])
    assert "a made-up picture of smooth colours, 64 x 48 pixels" in err


def test_the_made_up_picture_is_the_same_every_time_and_needs_no_resizing(tmp_path: Path) -> None:
    for name in PRESETS:
        size = job.own_size(preset(name))
        image = preset(name).image
        pixels = read_image(job.made_up_picture(tmp_path / f"{name}.jpg", size), 10**8)[0]
        assert tuple(pixels.shape[1:]) == size
        rule = image.short_side, image.long_side, image.resize, image.size_rounding
        assert resize(pixels, *rule).shape == pixels.shape
    again = job.made_up_picture(tmp_path / "again.jpg", job.own_size(preset("small")))
    assert again.read_bytes() == (tmp_path / "small.jpg").read_bytes()


def test_a_preset_has_random_weights_and_torchvision_finds_as_much(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, random_numbers = tmp_path / "speed.json", torch.get_rng_state()
    job.run(
        "mobile-320",
        image_size=64,
        amount=ONCE,
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


def test_what_cannot_be_timed_is_refused(model: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="E123 there is no model file or run folder 'nothing'"):
        job.run("nothing")
    with pytest.raises(ModelFileError, match=r"E123 there is no .* preset 'smal'; did you mean 'small'"):
        job.run("smal")
    with pytest.raises(OptionError, match="E122 no images match"):
        job.run(model, images=[str(tmp_path / "photos")])
    with pytest.raises(OptionError, match="E125 --count 0 --rounds 3: at least one"):
        Amount(0, 3)
    with pytest.raises(OptionError, match="at least one"):
        Amount(1, 0)
    for compare in ("tensorrt", "openvino,openvino", ""):
        with pytest.raises(OptionError, match=f"E125 --compare {compare}: name some of torchvision,onnxruntime,openv"):
            job.run("mobile-320", compare=compare)
    with pytest.raises(OptionError, match="--image-size 0"):
        job.run(model, image_size=0)
    with pytest.raises(OptionError, match=r"--out .* is a file"):
        job.run(model, out=Path(model))
    broken = tmp_path / "broken.jpg"
    broken.write_text("no image")
    with pytest.raises(ImageError, match=r"^E105 cannot decode .*broken\.jpg: .*; it cannot be timed"):
        job.run(model, images=[str(broken)])


def test_other_kinds_of_detectors_are_refused(tmp_path: Path) -> None:
    for kind, hint in (("fast-rcnn", "is timed by: faster-rcnn compare"), ("rpn", "name a detector that has a second")):
        config = preset("small")
        other = config.model_copy(update={"detector": config.detector.model_copy(update={"kind": kind})})
        with pytest.raises(OptionError, match=rf"x: its detector\.kind is {kind}.*{hint}"):
            job._refuse_other_kinds("x", other)


def test_torchvision_has_no_small(model: str) -> None:
    for name in ("small", model):
        with pytest.raises(ModelFileError, match=r"is none of torchvision's detectors.*benchmark mobile-320"):
            job.run(name, compare="torchvision")


def test_percentiles_by_hand() -> None:
    # 11 values 0..10: the 10th percentile is the second one, the 90th the last but one.
    assert Spread.of([float(value) for value in range(10, -1, -1)]) == Spread(5, 1, 9)
    assert Spread.of([3.0]) == Spread(3, 3, 3)


def made() -> Benchmark:
    conv = Convolution((1, 3, 8, 8), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1, 1000)
    times = ImageTimes(0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256)
    return Benchmark(
        used=Used("<runs>", False, "float32", 1, ImageSize(416, 555), 1),
        machine=Machine("cpu", ("AVX2",), False, 2, 2, {"torch": "2"}),
        times=(times,),
        latency=Spread(0.5, 0.4, 0.6),
        stream=(2.0, 4.0, 2.5),
        floor=Floor(14_000_000, ((conv, 1e9),)),
        memory=123_400_000,
        layout="torchvision:x",
        contenders=(
            Contender("ours", "bfloat16", Spread(0.3, 0.2, 0.4), 7),
            Contender("torchvision 1", "float32", Spread(0.6, 0.5, 0.7), 8),
        ),
    )


def test_the_table_by_hand() -> None:
    lines = made().table().splitlines()
    assert lines[0].split() == ["stage", "median", "10th", "to", "90th", "percentile", "share"]
    assert lines[9].split() == ["post-processing", "256.0", "ms", "256.0", "to", "256.0", "ms", "50.1", "%"]
    assert lines[5].startswith("RPN head ")
    assert lines[10].split()[:3] == ["total", "511.0", "ms"]
    facts = dict(made().facts())
    assert facts["one at a time"] == "2 images per second, file to boxes: 500.0 ms (400.0 to 600.0 ms)"
    assert facts["as a stream"].startswith("2.5 images per second")
    # 14 million operations at 1 GFLOP/s are 14 ms; body, neck and head take 28.
    assert facts["floor"].startswith("14.0 ms: the 0.01 GFLOP")
    assert facts["above the floor"] == "these three take 28.0 ms (28.0 to 28.0 ms), 2.0 times the floor"
    assert facts["memory"] == "123 MB at most, the whole process"
    assert facts["machine"] == "cpu, AVX2, no AMX, oneDNN's bfloat16 is not used, 2 threads on 2 processors, torch 2"
    assert facts["compared with"].startswith("torchvision:x with the same weights")
    assert facts["torchvision 1"] == (
        "ours is 2.00 times as fast, pixels to boxes: 300.0 ms (200.0 to 400.0 ms) in bfloat16, "
        "600.0 ms (500.0 to 700.0 ms) in float32; 7 and 8 detections"
    )
    assert facts["images"].endswith("timed once after one that is not counted")
    assert not {"compared with", "torchvision 1"} & set(dict(replace(made(), layout=None, contenders=()).facts()))


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (0.3, 0.6, "2.00 times as fast"),
        (0.3, 0.33, "1.10 times as fast"),
        (0.3, 0.3, "1.00 times as fast"),
        (0.3, 0.27, "11 % slower"),  # 0.3 is 1.111 times 0.27
        (0.3, 0.151, "99 % slower"),
        (0.3, 0.1, "slower by a factor of 3.00"),
    ],
)
def test_faster_and_slower_are_told_in_words(ours: float, theirs: float, words: str) -> None:
    one, other = (Contender("x", "float32", Spread(each, each, each), 1) for each in (ours, theirs))
    assert other.beside(one).startswith(f"ours is {words}, pixels to boxes: ")


def test_the_page_shows_every_stage_and_escapes_names(tmp_path: Path) -> None:
    page = write_benchmark(tmp_path, made()).read_text()
    assert page.count('<i class="c') == 2 * len(STAGES) + 2
    assert "torchvision 1, float32: 600.0 ms" in page
    assert 'style="width: 50.0%"' in page  # ours, of the slowest
    assert "&lt;runs&gt;" in page
    assert "<runs>" not in page
    assert "http" not in page  # nothing is fetched
    assert tuple(name for names in GROUPS.values() for name in names) == STAGES
