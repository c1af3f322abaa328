"""Faster R-CNN and Fast R-CNN measured side by side, on the same images and the same device."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from faster_rcnn.benchmark.stages import StageTimes, time_fast_rcnn, time_faster_rcnn
from faster_rcnn.benchmark.values import Amount
from faster_rcnn.comparison.report import STAGES, Circumstances, Comparison, System
from faster_rcnn.data.decode import read_image
from faster_rcnn.data.reading import load_present, load_split
from faster_rcnn.data.records import ImageRecord, Split
from faster_rcnn.errors import DatasetError, ImageError, OptionError
from faster_rcnn.evaluation.detector import measure_detector, settings_for, take_proposals
from faster_rcnn.evaluation.recall_of_files import recall_of
from faster_rcnn.inference.external_proposals import best, compute_file, of_split, propose_with, search_method
from faster_rcnn.inference.loading import load_predictor
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.proposals.file import ProposalFile, image_key, load_proposals
from faster_rcnn.proposals.selective_search import selective_search
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import Proposals
from faster_rcnn.system.devices import computing_in, precision_name
from faster_rcnn.system.progress import counted

_LOG = logging.getLogger(__name__)

FASTER, FAST = "Faster R-CNN", "Fast R-CNN + selective search"
SEARCHED, PROPOSED = "selective-search.safetensors", "first-stage.safetensors"
"""Proposals of both, in the folder of the comparison."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The two detectors as a user names them, and the file of proposals for the second one."""

    faster: str
    fast: str
    proposals: Path


def compare_systems(data: Path, pair: Pair, split: str | None, folder: Path, amount: Amount, device: str) -> Comparison:
    """Measure both detectors on a split: the times of their stages, their proposals, their detections."""
    first, second = (load_predictor(model, "auto", device) for model in (pair.faster, pair.fast))
    _refuse_unlike(pair, first.config, second.config)
    dataset = load_split(data, settings_for(data, first.config.data), split)
    part = dataset.split(split)
    found = load_proposals(pair.proposals)
    _refuse_other_search(found, second.config)
    take_proposals(second, pair.proposals, dataset.root, part, pair.fast)
    propose_with(first, pair.faster, folder / PROPOSED, dataset.root, [part])
    proposed = load_proposals(folder / PROPOSED)
    images = _readable(part, first.config, amount.images)
    times = _time_both(first, second, images, found, dataset.root, amount.rounds)
    systems = [
        System(name, model, each, _median_count(file, part, dataset.root), recall_of(part, file, dataset.root), metrics)
        for name, model, each, file, metrics in (
            (FASTER, pair.faster, times[0], proposed, measure_detector(first, part, pair.faster)),
            (FAST, pair.fast, times[1], found, measure_detector(second, part, pair.fast)),
        )
    ]
    how = Circumstances(
        str(first.device),
        precision_name(first.precision),
        torch.get_num_threads(),
        found.method,
        len(images),
        amount.rounds,
    )
    return Comparison(str(data), part.name, how, *systems)


def refuse_unusable(data: Path, config: Config, split: str | None, proposals: Path | None) -> None:
    """Raise where the split or the file of proposals that are asked for cannot be used with these data."""
    dataset = load_split(data, config.data, split, also=("train", "val"))
    dataset.split(split)
    if proposals is not None:
        file = load_proposals(proposals)
        _refuse_other_search(file, config)
        for part in dataset.splits.values():
            of_split(file, dataset.root, part, config.detector.outside_proposals, config.data)


def searched(data: Path, config: Config, folder: Path) -> Path:
    """The file of selective search for all splits, computed once."""
    path = folder / SEARCHED
    if not path.exists():
        dataset = load_present(data, config.data)
        _LOG.info("selective search on every image, which takes a second or so for each; the proposals are stored")
        compute_file(path, dataset.root, list(dataset.splits.values()), config)
    return path


def _refuse_unlike(pair: Pair, first: Config, second: Config) -> None:
    """Raise ``OptionError`` unless these are the two systems on one body; warn where they were trained differently."""
    wanted = (
        ("--faster", pair.faster, first, "faster-rcnn"),
        ("--fast", pair.fast, second, "fast-rcnn"),
    )
    for option, name, config, kind in wanted:
        if config.detector.kind != kind:
            raise OptionError(f"{option} {name}: its detector.kind is {config.detector.kind}, it must be {kind}")
    if (first.image, first.backbone) != (second.image, second.backbone):
        raise OptionError(
            f"{pair.faster} and {pair.fast} differ in image size or backbone, so their times cannot be compared"
        )
    budgets = [
        config.training.model_copy(update={"device": "", "workers": 0, "threads": 1}) for config in (first, second)
    ]
    differing = [f"training.{key}" for key, value in budgets[0] if value != getattr(budgets[1], key)]
    if differing:
        _LOG.warning(f"{pair.faster} and {pair.fast} were trained differently: {', '.join(differing)}")


def _refuse_other_search(file: ProposalFile, config: Config) -> None:
    """What is timed must be what is in the file."""
    wanted = search_method(config)
    if file.method != wanted:
        raise OptionError(f"{file.path} holds proposals of {file.method}; what is timed here is {wanted}")


def _time_both(
    first: Predictor,
    second: Predictor,
    images: Sequence[tuple[ImageRecord, Tensor]],
    searched: ProposalFile,
    root: Path,
    rounds: int,
) -> tuple[StageTimes, StageTimes]:
    """Medians over images and rounds, the two systems in turn; a first round, not counted, warms both up."""
    detector = second.config.detector
    search = partial(selective_search, mode=detector.selective_search, most=detector.outside_proposals)
    faster: list[StageTimes] = []
    fast: list[StageTimes] = []
    work = [(number, *one) for number in range(rounds + 1) for one in images]
    for number, record, pixels in counted(work, "images timed", len(work)):
        stored = best(searched.of(image_key(root, record.path), record.size, record.path), detector.outside_proposals)
        # Every new size has kernels chosen for it; that needs no search.
        propose = search if number else partial(_stored, stored)
        with torch.inference_mode(), computing_in(first.floats, first.device):
            both = time_faster_rcnn(first.network, pixels), time_fast_rcnn(second.network, pixels, propose)
        if number:
            faster.append(both[0])
            fast.append(both[1])
    return _medians(faster), _medians(fast)


def _stored(proposals: Proposals, _: Tensor) -> Proposals:
    return proposals


def _readable(part: Split, config: Config, most: int) -> list[tuple[ImageRecord, Tensor]]:
    """The first images of a split that can be decoded, and their pixels; the others are told when AP is measured."""
    found: list[tuple[ImageRecord, Tensor]] = []
    for record in part.records:
        if len(found) < most:
            with suppress(ImageError):
                found.append((record, read_image(record.path, config.data.max_pixels)[0]))
    if not found:
        raise DatasetError(f"no image of {part.name} can be decoded, so there is nothing to time", code="E105")
    return found


def _medians(times: list[StageTimes]) -> StageTimes:
    return StageTimes(*(median(getattr(each, stage) for each in times) for stage in STAGES))


def _median_count(file: ProposalFile, part: Split, root: Path) -> float:
    """Proposals of an image."""
    keys = (image_key(root, record.path) for record in part.records)
    return median(len(file.images[key].proposals.boxes) for key in keys if key in file.images)
