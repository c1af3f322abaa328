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
from faster_rcnn.evaluation.detector import measure_detector, settings_for
from faster_rcnn.evaluation.recall_of_files import recall_of
from faster_rcnn.inference.external_proposals import (
    best_proposals,
    proposals_of_split,
    search_method,
    split_source,
    write_rpn_proposals,
    write_searched_proposals,
)
from faster_rcnn.inference.loading import load_detector
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.proposals.file import ProposalFile, image_key, load_proposals
from faster_rcnn.proposals.selective_search import selective_search
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import Proposals
from faster_rcnn.system.devices import precision_name
from faster_rcnn.system.progress import counted

_LOG = logging.getLogger(__name__)

FASTER, FAST = "Faster R-CNN", "Fast R-CNN + selective search"
SEARCHED, PROPOSED = "selective-search.safetensors", "first-stage.safetensors"
"""Files of both systems' proposals in the folder of the comparison."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The two detectors, as the user named them, and the file of proposals for the second one."""

    faster: str
    fast: str
    proposals: Path


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of the two systems, ready to be measured."""

    name: str
    model: str
    """Run folder or model file, as the user named it."""
    predictor: Predictor
    proposals: ProposalFile
    """Proposals that its second stage works on."""


def compare_systems(data: Path, pair: Pair, split: str | None, folder: Path, amount: Amount, device: str) -> Comparison:
    """Measure both detectors on a split: the times of their stages, their proposals and their detections.

    Args:
        data: folder or file of labelled images.
        pair: the two detectors and the proposals of selective search.
        split: split to measure on; ``test`` where there is one, else ``val``, if it is not given.
        folder: folder for the proposals of the first stage.
        amount: images that are timed, the first of the split, and how often each.
        device: device that computes.

    Raises:
        OptionError: the detectors are not of the two kinds, or differ in image size or backbone.
        DatasetError: the data or the proposals cannot be used.
    """
    first, second = (load_detector(model, "auto", device) for model in (pair.faster, pair.fast))
    _refuse_unlike(pair, first.config, second.config)
    dataset = load_split(data, settings_for(data, first.config.data), split)
    part, root = dataset.split(split), dataset.root
    found = load_proposals(pair.proposals)
    _refuse_other_search(found, second.config)
    source = split_source(second, pair.proposals, root, part, pair.fast)
    write_rpn_proposals(first, pair.faster, folder / PROPOSED, root, [part])
    faster = Contestant(FASTER, pair.faster, Predictor(first), load_proposals(folder / PROPOSED))
    fast = Contestant(FAST, pair.fast, Predictor(second, proposals=source), found)
    images = _readable(part, first.config, amount.images)
    times = _time_both(faster, fast, images, root, amount.rounds)
    precision, threads = precision_name(first.precision), torch.get_num_threads()
    how = Circumstances(str(first.device), precision, threads, found.method, len(images), amount.rounds)
    measured = (_measured(faster, times[0], part, root), _measured(fast, times[1], part, root))
    return Comparison(str(data), part.name, how, *measured)


def _measured(one: Contestant, times: StageTimes, part: Split, root: Path) -> System:
    """AP and recall of a system, with the times that were measured before."""
    metrics = measure_detector(one.predictor, part, one.model)
    recall = recall_of(part, one.proposals, root)
    return System(one.name, one.model, times, _median_count(one.proposals, part, root), recall, metrics)


def refuse_unusable(data: Path, config: Config, split: str | None, proposals: Path | None) -> None:
    """Raise ``OptionError`` or ``DatasetError`` where the split or the file of proposals does not fit the data."""
    dataset = load_split(data, config.data, split, also=("train", "val"))
    dataset.split(split)
    if proposals is not None:
        file = load_proposals(proposals)
        _refuse_other_search(file, config)
        for part in dataset.splits.values():
            proposals_of_split(file, dataset.root, part, config.detector.outside_proposals, config.data)


def searched(data: Path, config: Config, folder: Path) -> Path:
    """The file of selective search for all splits; computed where ``folder`` does not hold it yet."""
    path = folder / SEARCHED
    if not path.exists():
        dataset = load_present(data, config.data)
        _LOG.info("selective search on every image, about a second for each; the proposals are stored")
        write_searched_proposals(path, dataset.root, list(dataset.splits.values()), config)
    return path


def _refuse_unlike(pair: Pair, first: Config, second: Config) -> None:
    """Raise ``OptionError`` unless both kinds are here with one backbone; warn where they were trained differently."""
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
    """Raise ``OptionError`` where a file holds proposals of another method than the one that is timed."""
    wanted = search_method(config)
    if file.method != wanted:
        raise OptionError(f"{file.path} holds proposals of {file.method}; what is timed here is {wanted}")


def _time_both(
    faster: Contestant, fast: Contestant, images: Sequence[tuple[ImageRecord, Tensor]], root: Path, rounds: int
) -> tuple[StageTimes, StageTimes]:
    """Medians over images and rounds, the two systems in turn; a first round, not counted, warms both up."""
    first, second = faster.predictor.detector, fast.predictor.detector
    detector = second.config.detector
    search = partial(selective_search, mode=detector.selective_search, max_proposals=detector.outside_proposals)
    times: tuple[list[StageTimes], list[StageTimes]] = ([], [])
    work = [(number, *one) for number in range(rounds + 1) for one in images]
    for number, record, pixels in counted(work, "images timed", len(work)):
        stored = fast.proposals.of(image_key(root, record.path), record.size, record.path)
        # A kernel is selected for every new size; that needs no search.
        propose = search if number else partial(_stored, best_proposals(stored, detector.outside_proposals))
        with first.computing():
            both = time_faster_rcnn(first.network, pixels), time_fast_rcnn(second.network, pixels, propose)
        if number:
            times[0].append(both[0])
            times[1].append(both[1])
    return _medians(times[0]), _medians(times[1])


def _stored(proposals: Proposals, _: Tensor) -> Proposals:
    return proposals


def _readable(part: Split, config: Config, max_images: int) -> list[tuple[ImageRecord, Tensor]]:
    """The first images of a split that can be decoded, and their pixels; AP warns of the others."""
    found: list[tuple[ImageRecord, Tensor]] = []
    for record in part.records:
        if len(found) < max_images:
            with suppress(ImageError):
                found.append((record, read_image(record.path, config.data.max_pixels)[0]))
    if not found:
        raise DatasetError(f"no image of {part.name} can be decoded, so there is nothing to time", code="E105")
    return found


def _medians(times: list[StageTimes]) -> StageTimes:
    return StageTimes(*(median(getattr(each, stage) for each in times) for stage in STAGES))


def _median_count(file: ProposalFile, part: Split, root: Path) -> float:
    """Median number of proposals of an image."""
    keys = (image_key(root, record.path) for record in part.records)
    return median(len(file.images[key].proposals.boxes) for key in keys if key in file.images)
