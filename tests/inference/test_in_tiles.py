"""Prediction on images in tiles."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from faster_rcnn.building import build_model
from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.images import size_of
from faster_rcnn.inference.inputs import to_pixels
from faster_rcnn.inference.merging import merge
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.inference.result import Prediction
from faster_rcnn.inference.tiles import Tile, Tiling
from faster_rcnn.structures import ClassMap, Detections
from faster_rcnn.weights.model_file import LoadedModel
from files import image_file, loaded_model, rgb, with_limit
from tiny import assert_equal_detections, random_image, tiny_config

CPU = torch.device("cpu")
TILING = Tiling(60, 0.25)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(prepare(loaded_model(), CPU, torch.float32))


def tiled(predictor: Predictor, tiling: Tiling = TILING) -> Predictor:
    """A predictor of the same detector for images in tiles."""
    return Predictor(predictor.detector, tiling=tiling)


def one_by_one(predictor: Predictor, image: Tensor, tiling: Tiling, conf: float) -> Detections:
    """Predict on each tile as an image of its own and on the whole image, and merge the detections."""
    size = size_of(image)
    parts = []
    for tile in [Tile(0, 0, size.width, size.height), *tiling.tiles(size)]:
        found = predictor.predict_one(tile.of(image), conf)
        parts.append((tile, Detections(found.boxes + torch.tensor([*tile[:2]] * 2), found.scores, found.labels)))
    return merge(parts, size, 0.5)


def test_a_strip_is_detected_in_its_tiles_only(predictor: Predictor) -> None:
    image = random_image(20, 6000)  # of which 128 x 0.4 pixels are left
    found = tiled(predictor).predict_one(image, conf=0.0)
    assert len(found) > 5
    assert (found.boxes[:, 2] - found.boxes[:, 0]).max() <= TILING.side
    with pytest.raises(ImageError, match="E120 image: of 1000x1 pixels less than half"):
        tiled(predictor, Tiling(1000, 0.25)).predict_one(random_image(1, 20_000), conf=0.0)


@pytest.mark.parametrize("conf", [0.0, 0.3])
def test_the_detections_are_those_of_each_tile_and_of_the_whole_image_merged(predictor: Predictor, conf: float) -> None:
    image = random_image(100, 150)
    found = tiled(predictor).predict_one(image, conf)
    assert_equal_detections(found.detections, one_by_one(predictor, image, TILING, conf))
    assert len(found) > 5
    assert found.size == (100, 150)
    assert (found.boxes.min() >= 0) & (found.boxes[:, 2].max() <= 150) & (found.boxes[:, 3].max() <= 100)


@pytest.mark.parametrize("shape", [(60, 60), (40, 60), (1, 1)])
def test_an_image_that_fits_into_a_tile_gives_the_same_detections_as_without_tiles(
    predictor: Predictor, shape: tuple[int, int]
) -> None:
    image = random_image(*shape)
    usual, in_tiles = predictor.predict_one(image, 0.0), tiled(predictor).predict_one(image, 0.0)
    assert torch.equal(in_tiles.boxes, usual.boxes)
    assert torch.equal(in_tiles.scores, usual.scores)
    assert torch.equal(in_tiles.labels, usual.labels)


def test_predictors_with_and_without_tiles_share_the_detector(predictor: Predictor) -> None:
    assert (predictor.tiling, tiled(predictor).tiling) == (None, TILING)
    assert tiled(predictor).detector is predictor.detector


def test_the_detectors_limit_of_detections_is_each_tiles_and_max_detections_is_the_images() -> None:
    predictor = Predictor(prepare(loaded_model(roi={"max_detections": 8}), CPU, torch.float32), tiling=TILING)
    everything = predictor.predict_one(random_image(100, 150), 0.0)
    assert len(everything) > 8
    assert torch.equal(predictor.predict_one(random_image(100, 150), 0.0, max_detections=3).boxes, everything.boxes[:3])


def test_batches_of_tiles_change_nothing_but_speed(predictor: Predictor) -> None:
    together = Predictor(prepare(loaded_model(), CPU, torch.float32), batch=4, tiling=TILING)
    image = random_image(100, 150)
    found, expected = together.predict_one(image, 0.2), tiled(predictor).predict_one(image, 0.2)
    torch.testing.assert_close(found.boxes, expected.boxes, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=1e-3)


def test_a_stream_reads_each_image_when_its_turn_comes_and_holds_no_other(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive, peak, taken = 0, 0, 0

    def died() -> None:
        nonlocal alive
        alive -= 1

    def counting(*arguments: Any) -> Tensor:
        nonlocal alive, peak
        pixels = to_pixels(*arguments)
        alive, peak = alive + 1, max(peak, alive + 1)
        weakref.finalize(pixels, died)
        return pixels

    def camera() -> Iterator[Any]:
        nonlocal taken
        for seed in range(5):
            taken += 1
            yield rgb(70, 80, seed)

    monkeypatch.setattr("faster_rcnn.inference.predictor.to_pixels", counting)
    results = tiled(predictor).stream(camera(), conf=0.5)
    assert taken == 0
    for number, _ in enumerate(results, 1):
        assert taken == number
    gc.collect()
    assert (alive, peak) == (0, 1)


def test_an_error_takes_the_place_of_its_image(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"bad")
    images: list[Any] = [rgb(70, 80), tmp_path / "bad.jpg", rgb()]
    first, bad, last = tiled(predictor).predict_each(images, conf=0.0)
    assert isinstance(first, Prediction)
    assert isinstance(last, Prediction)
    assert "bad.jpg" in str(bad)
    with pytest.raises(ImageError, match=r"bad\.jpg"):
        list(tiled(predictor).stream(images, conf=0.0))


def of_kind(kind: str) -> LoadedModel:
    config = tiny_config()
    config = config.model_copy(update={"detector": config.detector.model_copy(update={"kind": kind})})
    classes = ClassMap(("object",), (1,))
    return LoadedModel(build_model(config, 1).eval(), config, classes)


def test_a_region_proposal_network_merges_tiles_with_its_own_nms_threshold() -> None:
    loaded = of_kind("rpn")
    found = Predictor(prepare(loaded, CPU, torch.float32), tiling=TILING).predict_one(random_image(100, 150), 0.0)
    assert len(found) > loaded.config.rpn.proposals_after_nms
    assert found.names == ["object"] * len(found)


def test_a_detector_with_external_proposals_is_refused() -> None:
    with pytest.raises(OptionError, match="E125 tile 60: this detector uses external proposals, which"):
        Predictor(prepare(of_kind("fast-rcnn"), CPU, torch.float32), tiling=TILING)


def test_tiles_lift_the_limit_of_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(prepare(with_limit(loaded_model(), 1000), CPU, torch.float32))
    path = image_file(tmp_path / "large.png", 80, 90)
    with pytest.raises(ImageError, match=r"E120 .*90x80 = 7,200 .* limit of 1,000; detect it in tiles \(--tile 800, "):
        predictor.predict_one(path, 0.5)
    assert tiled(predictor).predict_one(path, 0.5).size == (80, 90)
    monkeypatch.setattr("faster_rcnn.inference.predictor.MAX_PIXELS", 7199)
    monkeypatch.setattr("faster_rcnn.inference.inputs.MAX_PIXELS", 7199)
    with pytest.raises(ImageError, match=r"limit of 7,199; make the image smaller first$"):
        tiled(predictor).predict_one(path, 0.5)


def image_of_squares(path: Path, side: int) -> None:
    """Write a picture of grey on white, which is a small file."""
    image = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(image)
    for corner in range(0, side, 500):
        draw.rectangle((corner, corner, corner + 200, corner + 300), "grey")
    image.save(path)


def environment() -> dict[str, str]:
    """The environment in which a new process imports the same packages."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


MEASURED = """
import sys
import torch
from faster_rcnn import images
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.inference.tiles import Tiling
from files import loaded_model

torch.set_num_threads(1)
path, resize = sys.argv[1:]
loaded = loaded_model(image={"resize": resize})
predictor = Predictor(prepare(loaded, torch.device("cpu"), torch.float32), tiling=Tiling(1000, 0.2))
result = predictor.predict_one(path, conf=0.999)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024, result.size.width)
"""
"""The script does not use ``getrusage``, where a process inherits the peak of its parent."""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read where Linux writes it")
@pytest.mark.parametrize("resize", ["antialias", "plain"])
def test_memory_grows_by_the_bytes_of_the_image_alone(resize: str, tmp_path: Path) -> None:
    """Compare two images above 4096 x 4096 pixels, of 36 and of 100 tiles."""

    def peak(side: int) -> int:
        path = tmp_path / f"{side}.jpg"
        image_of_squares(path, side)
        command = [sys.executable, "-c", MEASURED, str(path), resize]
        found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
        size, width = found.stdout.split()
        assert int(width) == side
        return int(size)

    grown, image = peak(8000) - peak(5000), 3 * (8000**2 - 5000**2)
    # 117 MB, give or take 24 MB by which two equal runs differ. A copy of all pixels, even as bytes, would double it.
    assert 0.7 * image < grown < 1.4 * image
