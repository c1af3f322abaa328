from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from faster_rcnn.acceleration.selection import precision_for
from faster_rcnn.errors import ImageError, ImageMemoryError, MachineError, ModelFileError, OptionError
from faster_rcnn.images import size_of
from faster_rcnn.inference import prefetch
from faster_rcnn.inference.inputs import to_pixels
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import PreparedDetector, prepare
from faster_rcnn.inference.result import Prediction, Result
from faster_rcnn.kernels.int8_layers import Int8Conv2d, weight_limit
from faster_rcnn.structures import Detections, Proposals
from faster_rcnn.system.devices import using_threads
from files import image_file, loaded_model, quantized, rgb
from tiny import training_batch, truth_of

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")

needs_int8 = pytest.mark.skipif(weight_limit() == 0, reason="oneDNN has no int8 convolutions here")


@pytest.fixture(scope="module", params=["one at a time", "two workers"])
def predictor(request: pytest.FixtureRequest) -> Iterator[Predictor]:
    threads = torch.get_num_threads()
    two_workers = request.param == "two workers"
    torch.set_num_threads(2 if two_workers else threads)
    yield Predictor(prepare(loaded_model(), CPU, torch.float32, exact=not two_workers))
    torch.set_num_threads(threads)


def test_two_images_of_a_stream_are_processed_concurrently_where_that_changes_nothing() -> None:
    threads, of_images = torch.get_num_threads(), [0, 0]
    torch.set_num_threads(2)
    try:
        for index, exact in enumerate((False, True)):
            predictor = Predictor(prepare(loaded_model(), CPU, torch.float32, exact=exact))
            expected = [predictor.predict_one(rgb(seed=seed), conf=0.0) for seed in range(3)]
            found = []
            for result in predictor.stream((rgb(seed=seed) for seed in range(3)), conf=0.0):
                found.append(result)
                of_images[index] = max(of_images[index], len(working()))
            for one, other in zip(found, expected, strict=True):
                assert_same(one, other, tolerance=1e-4)
    finally:
        torch.set_num_threads(threads)
    # With exact results, the one other thread decodes images.
    assert of_images == [2, 1]


def working() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith(prefetch.THREADS)]


def tolerance_of(predictor: Predictor) -> float:
    """How far results of a stream may differ from those of one image: two images share the threads of one."""
    return 0 if predictor.detector.exact else 1e-4


def assert_same(one: Result, other: Result, tolerance: float = 0) -> None:
    torch.testing.assert_close(one.boxes, other.boxes, rtol=0, atol=tolerance)
    torch.testing.assert_close(one.scores, other.scores, rtol=0, atol=tolerance)
    assert one.labels.tolist() == other.labels.tolist()
    assert one.size == other.size


def test_every_kind_of_the_same_image_gives_the_same_detections(predictor: Predictor, tmp_path: Path) -> None:
    path = image_file(tmp_path / "a.png")
    tensor = torch.from_numpy(rgb()).permute(2, 0, 1)
    expected = predictor.predict_one(path, conf=0.0)
    assert len(expected) > 5
    for image in (str(path), path.read_bytes(), Image.open(path), rgb(), tensor, tensor.float() / 255):
        assert_same(predictor.predict_one(image, conf=0.0), expected)


def test_boxes_are_in_the_pixels_of_the_upright_image(predictor: Predictor, tmp_path: Path) -> None:
    """Compare an image that is stored turned (EXIF 6: turn it clockwise) with one that is stored upright."""
    upright = rgb(60, 40)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(upright))).save(tmp_path / "turned.png", exif=exif)
    result = predictor.predict_one(tmp_path / "turned.png", conf=0.0)
    assert (result.size.height, result.size.width) == (60, 40)
    assert_same(result, predictor.predict_one(upright, conf=0.0))
    assert result.boxes[:, 2].max() <= 40 + 1e-3
    assert result.boxes[:, 3].max() <= 60 + 1e-3
    assert result.boxes[:, 3].max() > 40


def test_conf_and_max_detections_shorten_the_list(predictor: Predictor) -> None:
    everything = predictor.predict_one(rgb(), conf=0.0)
    middle = everything.scores[4].item()
    kept = predictor.predict_one(rgb(), conf=middle)
    assert len(kept) == int((everything.scores >= middle).sum()) >= 5
    assert predictor.predict_one(rgb(), conf=0.0, max_detections=2).scores.tolist() == everything.scores[:2].tolist()
    assert len(predictor.predict_one(rgb(), conf=1.0)) == 0


@pytest.mark.parametrize(
    ("conf", "max_detections", "message"), [(50, None, "50 % is 0.5"), (-0.1, None, "between"), (0.5, 0, "1")]
)
def test_limits_that_make_no_sense_are_refused_at_once(
    predictor: Predictor, conf: float, max_detections: int | None, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        predictor.stream(iter([rgb()]), conf, max_detections)
    with pytest.raises(OptionError, match=message):
        predictor.predict_one(rgb(), conf, max_detections)


def test_a_stream_is_lazy_and_endless(predictor: Predictor) -> None:
    taken = 0

    def camera() -> Iterator[np.ndarray[Any, np.dtype[np.uint8]]]:
        nonlocal taken
        while True:
            taken += 1
            yield rgb(seed=taken)

    results = predictor.stream(camera(), conf=0.0)
    assert taken == 0
    for number in range(1, 4):
        alone = predictor.predict_one(rgb(seed=number), conf=0.0)
        assert_same(next(results), alone, tolerance=tolerance_of(predictor))
        assert number + 1 <= taken <= number + 2
    results.close()  # type: ignore[attr-defined]  # it is a generator


def test_a_long_stream_holds_a_few_images_only(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    alive, peak = 0, 0

    def died() -> None:
        nonlocal alive
        alive -= 1

    def counting(*arguments: Any) -> torch.Tensor:
        nonlocal alive, peak
        pixels = to_pixels(*arguments)
        alive, peak = alive + 1, max(peak, alive + 1)
        weakref.finalize(pixels, died)
        return pixels

    monkeypatch.setattr("faster_rcnn.inference.predictor.to_pixels", counting)
    images = (rgb(16, 16, seed=number) for number in range(40))
    assert sum(1 for _ in predictor.predict_each(images, conf=0.5)) == 40
    gc.collect()
    assert alive == 0
    assert peak <= 4  # being detected, handed out, waiting, being decoded


def test_an_error_takes_the_place_of_its_image(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"bad")
    images: list[Any] = [rgb(), tmp_path / "bad.jpg", rgb(seed=1), rgb().astype(np.float32)]
    first, bad, second, wrong = predictor.predict_each(images, conf=0.0)
    assert isinstance(first, Prediction)
    assert isinstance(second, Prediction)
    assert "bad.jpg" in str(bad)
    assert "image 3 (counted from 0) holds floats up to 255" in str(wrong)
    assert size_of(first.pixels) == first.result.size
    alone = predictor.predict_one(rgb(seed=1), conf=0.0)
    assert_same(second.result, alone, tolerance=tolerance_of(predictor))
    stream = predictor.stream(images, conf=0.0)
    assert_same(next(stream), first.result)
    with pytest.raises(ImageError, match=r"bad\.jpg"):
        next(stream)


def test_batches_change_nothing_but_speed(predictor: Predictor, tmp_path: Path) -> None:
    """Predict on images of three shapes, and a bad one, in batches of three, as on a GPU."""
    together = Predictor(prepare(loaded_model(), CPU, torch.float32), batch=3)
    images: list[Any] = [rgb(40 + 40 * (number % 3), 60, seed=number) for number in range(8)]
    images.insert(4, b"bad")
    for one, other in zip(together.predict_each(images, 0.0), predictor.predict_each(images, 0.0), strict=True):
        if isinstance(one, Prediction) and isinstance(other, Prediction):
            assert_same(one.result, other.result, tolerance=1e-3)
        else:
            assert str(one) == str(other)


def test_half_precision_gives_float32_boxes_nearby(predictor: Predictor) -> None:
    rounded = Predictor(prepare(loaded_model(), CPU, torch.bfloat16)).predict_one(rgb(), conf=0.0)
    assert rounded.boxes.dtype == rounded.scores.dtype == torch.float32
    assert abs(rounded.scores[0] - predictor.predict_one(rgb(), conf=0.0).scores[0]) < 0.1


def test_no_images_give_no_results(predictor: Predictor) -> None:
    assert list(predictor.stream([], conf=0.5)) == []


def test_a_tiny_and_a_long_image_work(predictor: Predictor) -> None:
    for height, width in ((1, 1), (2, 3), (1, 256)):
        assert predictor.predict_one(rgb(height, width), conf=0.0).size == (height, width)


def test_an_image_of_which_resizing_leaves_nothing_is_reported_and_the_others_are_predicted(
    predictor: Predictor,
) -> None:
    # The long side becomes 128 pixels at most, so a short side of 1 becomes 0.498.
    first, long, last = predictor.predict_each([rgb(), rgb(1, 257), rgb()], conf=0.0)
    assert isinstance(first, Prediction)
    assert isinstance(last, Prediction)
    assert str(long) == (
        "E120 image 1 (counted from 0): of 257x1 pixels less than half a pixel of the short side is left, where the "
        "long side may have 128; cut it into parts"
    )


@pytest.mark.parametrize("batch", [1, 3])
def test_an_image_that_needs_too_much_memory_is_reported_and_the_others_are_predicted(
    batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor(prepare(loaded_model(), CPU, torch.float32), batch=batch)
    expected = predictor.predict_one(rgb(), conf=0.0)
    detect = PreparedDetector.detect

    def greedy(detector: PreparedDetector, images: Sequence[Tensor], *rest: Any) -> list[Detections]:
        if len(images) > 1 or images[0].shape[1] == 50:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 10 bytes")
        return detect(detector, images, *rest)

    monkeypatch.setattr(PreparedDetector, "detect", greedy)
    first, large, last = predictor.predict_each([rgb(), rgb(50, 60), rgb()], conf=0.0)
    line = "E120 image 1 (counted from 0) needs more memory than there is; make it smaller, or free memory"
    assert isinstance(large, ImageMemoryError)
    assert (str(large), large.exit_code) == (line, 5)
    for one in (first, last):
        assert isinstance(one, Prediction)
        assert_same(one.result, expected)
    with pytest.raises(ImageMemoryError):
        predictor.predict_one(rgb(50, 60), conf=0.0)


def test_a_failure_of_one_image_does_not_keep_the_next_one_waiting() -> None:
    """Two images are processed concurrently; the second one is read when the first one's proposals fail."""

    def failing(image: object, pixels: Tensor) -> Proposals:
        if image is first:
            raise OptionError("there are no proposals")
        return Proposals(torch.tensor([[0.0, 0.0, 20.0, 20.0]]), torch.zeros(1))

    first = rgb()
    predictor = Predictor(prepare(loaded_model(), CPU, torch.float32, exact=False), proposals=failing)
    ended: list[BaseException] = []

    def predict() -> None:
        try:
            list(predictor.stream([first, rgb(), rgb()], conf=0.0))
        except OptionError as error:
            ended.append(error)

    with using_threads(2):
        thread = threading.Thread(target=predict, daemon=True)
        thread.start()
        thread.join(timeout=60)
    assert [str(error) for error in ended] == ["there are no proposals"]


def test_the_model_can_be_trained_after_it_was_used() -> None:
    predictor = Predictor(prepare(loaded_model(), CPU, torch.float32))
    result = predictor.predict_one(rgb(), conf=0.0)
    result.boxes[:, 0] += 1  # users may change their results
    pixels = torch.from_numpy(rgb(64, 64)).permute(2, 0, 1)
    losses = predictor.detector.model(training_batch([pixels], [truth_of([[5, 5, 40, 40]])], [0]))
    losses.total.backward()
    assert any(parameter.grad is not None for parameter in predictor.detector.model.parameters())


@needs_int8
def test_int8_boxes_are_nearby_and_floats_are_those_of_auto(predictor: Predictor) -> None:
    loaded = quantized(loaded_model())
    whole = Predictor(prepare(loaded, CPU, torch.int8))
    assert whole.detector.precision == torch.int8
    assert whole.detector.floats in (torch.float32, torch.bfloat16)
    assert any(isinstance(each, Int8Conv2d) for each in whole.detector.network.modules())
    assert not any(isinstance(each, Int8Conv2d) for each in loaded.model.modules())
    images = [rgb(), rgb(60, 40, seed=1), rgb(seed=2)]
    for found, image in zip(whole.stream(images, conf=0.0), images, strict=True):
        expected = predictor.predict_one(image, conf=0.0)
        assert found.boxes.dtype == found.scores.dtype == torch.float32
        assert len(found) == pytest.approx(len(expected), rel=0.2)
        assert found.scores[0].item() == pytest.approx(expected.scores[0].item(), abs=0.1)
        assert_same(found, whole.predict_one(image, conf=0.0))
    # Activation ranges change nothing in float32.
    floats = Predictor(prepare(loaded, CPU, torch.float32, exact=predictor.detector.exact))
    assert_same(floats.predict_one(rgb(), conf=0.0), predictor.predict_one(rgb(), conf=0.0))


def test_a_detector_without_activation_ranges_is_refused_in_int8() -> None:
    command = r"faster-rcnn quantize MODEL DATA --out FILE$"
    with pytest.raises(ModelFileError, match=rf"^E123 precision int8: this model was not quantized: .*: {command}"):
        prepare(loaded_model(), CPU, torch.int8)


@needs_int8
def test_activation_ranges_of_another_network_are_refused() -> None:
    """Rename layers, as another version of the package that implements the body may do."""
    loaded = quantized(loaded_model())
    assert loaded.ranges is not None
    other = replace(loaded, ranges={name.replace("fused_", "joined_"): each for name, each in loaded.ranges.items()})
    with pytest.raises(ModelFileError, match=r"^E123 .*faster-rcnn quantize MODEL DATA --out FILE"):
        prepare(other, CPU, torch.int8, exact=False)


def test_int8_is_for_cpus_and_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = quantized(loaded_model())
    with pytest.raises(OptionError, match=r"^E126 precision int8 is for CPUs, and this is on cuda:0; bfloat16 works"):
        prepare(loaded, GPU, torch.int8)
    with pytest.raises(OptionError, match=r"^E125 compile=True: a detector in int8 is not compiled"):
        prepare(loaded, CPU, torch.int8, compile=True)
    monkeypatch.setattr("faster_rcnn.acceleration.selection.weight_limit", lambda: 0)
    with pytest.raises(MachineError, match=r"^precision int8: .* has no int8 convolutions$"):
        prepare(loaded, CPU, torch.int8)


@pytest.mark.parametrize("fast", [False, True])
def test_auto_takes_int8_for_a_quantized_detector_where_a_cpu_is_fast(
    fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faster_rcnn.acceleration.selection.int8_is_fast", lambda: fast)
    monkeypatch.setattr("faster_rcnn.system.devices.bfloat16_is_fast", lambda device: device == GPU)
    plain, whole = loaded_model(), quantized(loaded_model())
    assert precision_for(whole, "auto", CPU) == (torch.int8 if fast else torch.float32)
    assert precision_for(plain, "auto", CPU) == torch.float32
    assert precision_for(whole, "auto", GPU) == precision_for(plain, "auto", GPU) == torch.bfloat16
    for name in ("float32", "bfloat16", "int8"):  # an explicit precision is taken as it is
        assert precision_for(whole, name, CPU) == precision_for(plain, name, CPU) == getattr(torch, name)
