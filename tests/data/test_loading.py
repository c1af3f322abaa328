"""The loader: each image once per epoch, the same whatever the number of workers, valid boxes, damage logged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image

from faster_rcnn.data.loading import StepImages, TrainingLoader
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.data.records import ImageRecord, Split
from faster_rcnn.data.training_image import TrainingImage
from faster_rcnn.errors import DatasetError
from faster_rcnn.settings.schema import DataConfig, ImageConfig
from faster_rcnn.settings.training import TrainingConfig
from faster_rcnn.structures import ClassMap, GroundTruth, ImageSize

SMALL = ImageConfig(short_side=32, long_side=64)
DATA = DataConfig()


def a_split(folder: Path, count: int = 10) -> Split:
    """Images of noise, portrait and landscape in turn, with ``index % 3`` boxes each."""
    records = []
    for index in range(count):
        size = ImageSize(60, 40) if index % 2 else ImageSize(40, 80)
        path = folder / f"{index}.png"
        noise = torch.randint(0, 256, (*size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(index))
        Image.fromarray(noise.numpy()).save(path)
        boxes = torch.tensor([[1.0, 2.0, 39.0, 30.0], [0.0, 0.0, 40.0, 40.0]])[: index % 3]
        truth = GroundTruth(boxes, torch.arange(len(boxes)), torch.zeros(len(boxes), dtype=torch.bool))
        areas = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).double()
        xywh = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1).double()
        records.append(ImageRecord(path, path.name, 100 + index, size, truth, areas, xywh))
    return Split("train", tuple(records), ClassMap(("a", "b"), (1, 2)), ())


def images_of(steps: Iterable[StepImages]) -> list[tuple[TrainingImage, ...]]:
    """The images of each step; one process has all of them."""
    found = list(steps)
    assert all(tuple(one.image_id for one in step.own) == step.ids for step in found)
    return [step.own for step in found]


def one_epoch(
    split: Split, image: ImageConfig, training: TrainingConfig, epoch: int, skip_batches: int = 0
) -> list[tuple[TrainingImage, ...]]:
    """All batches of one epoch of a loader of its own."""
    loader = TrainingLoader(split, image, training, DATA)
    try:
        return images_of(loader.epoch(epoch, skip_batches))
    finally:
        loader.close()


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged as a warning."""
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def same(first: Sequence[Sequence[TrainingImage]], second: Sequence[Sequence[TrainingImage]]) -> bool:
    """Whether two lists of batches are equal to the bit."""
    pairs = [pair for one, two in zip(first, second, strict=True) for pair in zip(one, two, strict=True)]
    return all(
        (a.image_id, a.seed, a.index) == (b.image_id, b.seed, b.index)
        and torch.equal(a.pixels, b.pixels)
        and torch.equal(a.truth.boxes, b.truth.boxes)
        and torch.equal(a.truth.labels, b.truth.labels)
        for a, b in pairs
    )


@pytest.mark.parametrize("method", ["antialias", "plain"])
def test_any_number_of_workers_gives_the_same_images(tmp_path: Path, method: str) -> None:
    split = a_split(tmp_path)
    image = SMALL.model_copy(update={"resize": method})
    reference = None
    for workers in (0, 1, 2):
        loader = TrainingLoader(split, image, TrainingConfig(workers=workers, batch=3), DATA)
        epochs = [images_of(loader.epoch(0)), images_of(loader.epoch(1))]
        assert [len(batches) for batches in epochs] == [loader.steps()] * 2 == [4, 4]
        reference = reference or epochs
        assert all(same(*pair) for pair in zip(reference, epochs, strict=True))
        loader.close()
        loader.close()
    assert reference is not None
    assert not same(sorted_by_index(reference[0]), sorted_by_index(reference[1]))


def sorted_by_index(batches: list[tuple[TrainingImage, ...]]) -> list[list[TrainingImage]]:
    return [sorted((image for batch in batches for image in batch), key=lambda image: image.index)]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_epoch_continues_in_its_middle(tmp_path: Path, workers: int) -> None:
    split = a_split(tmp_path)
    training = TrainingConfig(workers=workers, batch=3)
    whole = one_epoch(split, SMALL, training, epoch=5)
    rest = one_epoch(split, SMALL, training, epoch=5, skip_batches=2)
    assert same(whole[2:], rest)


def test_the_loader_draws_nothing_from_the_global_generator(tmp_path: Path) -> None:
    split = a_split(tmp_path, 2)
    before = torch.get_rng_state()
    one_epoch(split, SMALL, TrainingConfig(workers=0), epoch=0)
    assert torch.equal(before, torch.get_rng_state())


def test_an_epoch_may_be_left_early(tmp_path: Path) -> None:
    loader = TrainingLoader(a_split(tmp_path), SMALL, TrainingConfig(workers=1, batch=2), DATA)
    next(loader.epoch(0))
    second = images_of(loader.epoch(1))
    loader.close()
    assert sum(map(len, second)) == 10


def test_training_boxes_are_valid_and_fit_their_pixels(tmp_path: Path) -> None:
    split = a_split(tmp_path)
    for epoch in range(4):
        for batch in one_epoch(split, SMALL, TrainingConfig(workers=0, scale_jitter=(0.3, 2.0)), epoch):
            for image in batch:
                boxes, (height, width) = image.truth.boxes, image.pixels.shape[-2:]
                assert len(boxes) == image.index % 3
                assert bool((boxes[:, 2:] > boxes[:, :2]).all())
                assert bool((boxes >= 0).all())
                assert bool((boxes[:, [0, 2]] <= width + 1e-3).all())
                assert bool((boxes[:, [1, 3]] <= height + 1e-3).all())


def test_without_augmentation_images_are_resized_alone(tmp_path: Path) -> None:
    split = a_split(tmp_path)
    plain = TrainingConfig(workers=0, flip=0, photometric=0, scale_jitter=(1, 1))
    images = sorted_by_index(one_epoch(split, SMALL, plain, epoch=0))[0]
    # 40 x 80 to a short side of 32: factor 0.8, so the box (1, 2, 39, 30) becomes (0.8, 1.6, 31.2, 24)
    assert images[4].pixels.shape == (3, 32, 64)
    torch.testing.assert_close(images[4].truth.boxes, torch.tensor([[0.8, 1.6, 31.2, 24.0]]))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_breaks_later_is_left_out_and_logged_once(
    tmp_path: Path, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    split = a_split(tmp_path)
    split.records[3].path.write_bytes(b"no longer an image")
    loader = TrainingLoader(split, SMALL, TrainingConfig(workers=workers, batch=2), DATA)
    for epoch in range(2):
        found = [image.index for batch in images_of(loader.epoch(epoch)) for image in batch]
        assert sorted(found) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    [message] = messages(caplog)
    assert message.startswith("E105 cannot decode")
    assert "3.png" in message
    split.records[4].path.unlink()
    with pytest.raises(DatasetError, match="E105 2 of 10 images of train cannot be decoded"):
        list(loader.epoch(2))
    loader.close()


def test_a_batch_without_any_readable_image_is_skipped(tmp_path: Path) -> None:
    split = a_split(tmp_path, 2)
    split.records[0].path.write_bytes(b"")
    loader = TrainingLoader(split, SMALL, TrainingConfig(workers=0, batch=1), DATA)
    assert [[image.index for image in batch] for batch in images_of(loader.epoch(0))] == [[1]]


@pytest.mark.parametrize("workers", [0, 1])
def test_damage_that_the_decoder_ignores_is_logged_once(
    tmp_path: Path, workers: int, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    split = a_split(tmp_path, 2)
    path = split.records[0].path
    with Image.open(path) as image:
        image.resize((800, 400)).resize((80, 40)).save(path, "JPEG", quality=100)
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(200) + content[middle + 200 :])
    loader = TrainingLoader(split, SMALL, TrainingConfig(workers=workers, batch=1), DATA)
    for epoch in range(2):
        assert len(list(loader.epoch(epoch))) == 2
    loader.close()
    [message] = messages(caplog)
    assert message.startswith(f"{path} may be damaged: ")
    assert capfd.readouterr().err == ""


def test_an_image_that_resizing_reduces_to_nothing_is_left_out_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    split = a_split(tmp_path)
    Image.new("RGB", (130, 1)).save(tmp_path / "3.png")
    loader = TrainingLoader(split, SMALL, TrainingConfig(workers=0, batch=3), DATA)
    assert sorted(image.index for batch in images_of(loader.epoch(0)) for image in batch) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert messages(caplog) == [
        f"E120 {tmp_path / '3.png'}: of 130x1 pixels less than half a pixel of the short side is left, where the long "
        "side may have 64; cut it into parts; it is left out of training"
    ]


def test_no_image_left_is_an_error(tmp_path: Path) -> None:
    split = a_split(tmp_path, 1)
    split.records[0].path.write_bytes(b"")
    loader = TrainingLoader(split, SMALL, TrainingConfig(workers=0, batch=1), DATA)
    with pytest.raises(DatasetError, match="E105 1 of 1 images of train cannot be decoded"):
        list(loader.epoch(0))


def test_real_images_fill_an_epoch(data_folder: Callable[[str], Path]) -> None:
    split = load_dataset(data_folder("fruits18"), DATA).splits["train"]
    batches = one_epoch(split, ImageConfig(), TrainingConfig(workers=0), epoch=0)
    assert sum(map(len, batches)) == 16
    assert sum(len(image.truth.labels) for batch in batches for image in batch) == 152
