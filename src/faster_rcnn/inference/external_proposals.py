"""External proposals for the images of a data set: read from a file, or computed once and stored."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import current_process
from pathlib import Path

import torch
from torch import Tensor

from faster_rcnn.building import with_settings
from faster_rcnn.choices import SearchMode
from faster_rcnn.data.decode import read_image
from faster_rcnn.data.records import Dataset, ImageRecord, Split
from faster_rcnn.data.workers import end_with_parent
from faster_rcnn.errors import DatasetError, ImageError, OptionError
from faster_rcnn.images import size_of
from faster_rcnn.inference.inputs import AnyImage
from faster_rcnn.inference.loading import refuse_without_second_stage
from faster_rcnn.inference.predictor import ProposalSource
from faster_rcnn.inference.prepared import PreparedDetector
from faster_rcnn.proposals.file import (
    ImageProposals,
    ProposalFile,
    fingerprint,
    image_key,
    load_proposals,
    save_proposals,
)
from faster_rcnn.proposals.selective_search import selective_search
from faster_rcnn.rpn.proposals import ProposalFilter
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import Config, DataConfig
from faster_rcnn.structures import Proposals
from faster_rcnn.system.progress import counted
from faster_rcnn.system.threads import processors

_LOG = logging.getLogger(__name__)

FILE = "proposals.safetensors"
"""Name of the file in a run folder that stores the proposals which were computed for the run."""
MAX_PROCESSES = 61
"""Largest number of processes that Python's pool can wait for on Windows."""

Propose = Callable[[Tensor], Proposals]
"""Computes proposals of one image (3, height, width), in its pixels."""


def training_proposals(dataset: Dataset, config: Config, folder: Path) -> dict[str, list[Proposals]]:
    """External proposals for the training and validation splits of a Fast R-CNN, best first, by the name of the split.

    They come from the file ``data.proposals``; without it from the file that this run has stored in its folder; without
    that from selective search, whose results are stored there. Empty for detectors with a first stage.

    Raises ``DatasetError`` where an image has no proposals.
    """
    if config.detector.kind != "fast-rcnn":
        return {}
    splits = [dataset.splits[name] for name in ("train", "val") if name in dataset.splits]
    stored = folder / FILE
    given = config.data.proposals
    if given is None and not stored.exists():
        _LOG.info("no --proposals: selective search computes and stores them, which takes about a second per image")
        write_searched_proposals(stored, dataset.root, splits, config)
    file = load_proposals(stored if given is None else Path(given))
    _LOG.info(f"proposals of {file.method} from {file.path}")
    limit = config.detector.outside_proposals
    return {split.name: proposals_of_split(file, dataset.root, split, limit, config.data) for split in splits}


def proposals_of_split(
    file: ProposalFile, root: Path, split: Split, max_proposals: int, data: DataConfig
) -> list[Proposals]:
    """The best proposals for each record of a split; raises ``DatasetError`` where a readable image has none."""
    file.refuse_empty([image_key(root, record.path) for record in split.records], split.name)
    return known_proposals_of_split(file, root, split, max_proposals, data)


def known_proposals_of_split(
    file: ProposalFile, root: Path, split: Split, max_proposals: int, data: DataConfig
) -> list[Proposals]:
    """The best proposals for each record of a split; some records may have no proposals.

    Raises ``DatasetError`` where the file does not list an image.
    """
    keys = [image_key(root, record.path) for record in split.records]
    file.refuse_missing(keys, split.name)
    return [
        _proposals_of_record(file, key, record, max_proposals, data)
        for key, record in zip(keys, split.records, strict=True)
    ]


def _proposals_of_record(
    file: ProposalFile, key: str, record: ImageRecord, max_proposals: int, data: DataConfig
) -> Proposals:
    found = file.known(key, record.size, record.path)
    return _none_if_unreadable(file, record, data) if found is None else best_proposals(found, max_proposals)


def _none_if_unreadable(file: ProposalFile, record: ImageRecord, data: DataConfig) -> Proposals:
    """No proposals for an image that still cannot be read; raises ``DatasetError`` where it now can be.

    Nothing is detected in an image that cannot be read, so it needs none.
    """
    try:
        read_image(record.path, data.max_pixels)
    except ImageError:
        return Proposals(torch.zeros(0, 4), torch.zeros(0))
    raise DatasetError(
        f"{file.path} has no proposals for {record.path}, which could not be read when they were made and now can; "
        "make them anew: faster-rcnn proposals DATA --method selective-search --out FILE",
        code="E136",
    )


def best_proposals(proposals: Proposals, count: int) -> Proposals:
    """The first ``count`` proposals, which are the best ones."""
    return Proposals(proposals.boxes[:count], proposals.scores[:count])


def write_searched_proposals(path: Path, root: Path, splits: Sequence[Split], config: Config) -> None:
    """Run selective search on every image of some splits, in one process per processor, and write a file of proposals.

    Raises ``DatasetError`` where the file cannot be written.
    """
    detector = config.detector
    search = partial(selective_search, mode=detector.selective_search, max_proposals=detector.outside_proposals)
    records = {image_key(root, each.path): each for split in splits for each in split.records}
    found: dict[str, ImageProposals] = {}
    with _processes() as each:
        outcomes = each(partial(_propose, search, config.data), records.values())
        for key, one in zip(records, counted(outcomes, "images", len(records)), strict=True):
            if isinstance(one, str):
                _LOG.warning(f"{one}; it has no proposals")
            else:
                found[key] = ImageProposals(records[key].size, one, fingerprint(records[key].path))
    save_proposals(path, search_method(config), found, records.keys() - found.keys())


@contextmanager
def _processes() -> Iterator[Callable[..., Iterator[Proposals | str]]]:
    """Yield a ``map`` over one process per usable processor, or Python's where the process may have no children."""
    if current_process().daemon:
        yield map
        return
    with ProcessPoolExecutor(min(processors(), MAX_PROCESSES), initializer=_begin) as pool:
        yield pool.map


def _begin() -> None:
    """Initialize each process of the pool."""
    end_with_parent()
    torch.set_num_threads(1)  # a forked process must not use the threads of its parent


def search_settings(mode: SearchMode, count: int) -> Config:
    """Settings for ``write_searched_proposals``: selective search for at most ``count`` proposals of an image."""
    config = preset("small")
    search = {"selective_search": mode, "outside_proposals": count}
    return config.model_copy(update={"detector": config.detector.model_copy(update=search)})


def with_count(detector: PreparedDetector, count: int) -> PreparedDetector:
    """A detector with the same weights whose first stage gives ``count`` proposals per image; it is not compiled."""
    rule = filter_with_count(detector.network.inference_filter, count)
    return replace(detector, network=with_settings(detector.network, inference_filter=rule), compiler=None)


def filter_with_count(rule: ProposalFilter, count: int) -> ProposalFilter:
    """The same filter with ``count`` proposals per image, even if all of them are from one level."""
    return replace(rule, before_nms=max(rule.before_nms, count), after_nms=count)


def search_method(config: Config) -> str:
    """The name of the method in a file of proposals from selective search."""
    return f"selective search ({config.detector.selective_search})"


def _propose(search: Propose, data: DataConfig, record: ImageRecord) -> Proposals | str:
    """Compute the proposals of one image; returns the error as text where the image cannot be read."""
    try:
        return search(read_image(record.path, data.max_pixels)[0])
    except ImageError as error:
        return str(error)


def split_source(detector: PreparedDetector, path: Path, root: Path, split: Split, model: str) -> ProposalSource:
    """A source of the proposals in a file for the images of a split; ``model`` is the detector's name in messages.

    Raises:
        OptionError: the detector has no second stage.
        DatasetError: the file cannot be used, or has no proposals for an image.
    """
    file = _opened(detector, path, model)
    limit = detector.config.detector.outside_proposals
    return source_of(split, proposals_of_split(file, root, split, limit, detector.config.data))


def file_source(detector: PreparedDetector, path: Path, model: str) -> ProposalSource:
    """A source of the proposals in a file for image files, even where their data set has been moved.

    The longest end of an image's path that the file of proposals lists identifies the image. The source raises
    ``DatasetError`` where an image has no proposals, or where they are another image's.

    Raises:
        OptionError: the detector has no second stage.
        DatasetError: the file cannot be used.
    """
    file = _opened(detector, path, model)
    limit = detector.config.detector.outside_proposals

    def source(image: AnyImage, pixels: Tensor) -> Proposals:
        parts = Path(str(image)).resolve().parts[1:]
        ends = ("/".join(parts[first:]) for first in range(len(parts)))
        key = next((end for end in ends if end in file.images), str(image))
        return best_proposals(file.of(key, size_of(pixels), Path(str(image))), limit)

    return source


def _opened(detector: PreparedDetector, path: Path, model: str) -> ProposalFile:
    """Load a file of proposals for a detector, and log its method."""
    refuse_without_second_stage(detector, model)
    file = load_proposals(path)
    _LOG.info(f"proposals of {file.method} from {path}")
    return file


def source_of(split: Split, proposals: Sequence[Proposals]) -> ProposalSource:
    """A source of proposals for the images of a split; ``proposals`` are in the order of the split's records."""
    by_path: Mapping[str, Proposals] = {
        str(record.path): each for record, each in zip(split.records, proposals, strict=True)
    }
    return lambda image, _: by_path[str(image)]


def write_rpn_proposals(detector: PreparedDetector, name: str, out: Path, root: Path, splits: list[Split]) -> None:
    """Write a file with the proposals that a detector's first stage makes in inference.

    ``name`` is the detector's name in messages and in the file. Raises ``OptionError`` where there is no first stage.
    """
    if detector.config.detector.kind == "fast-rcnn":
        raise OptionError(f"{name} is a Fast R-CNN, which has no first stage; --method rpn needs one")
    found: dict[str, ImageProposals] = {}
    records = {image_key(root, record.path): record for split in splits for record in split.records}
    for key, (record, proposals) in zip(records, rpn_proposals(detector, list(records.values())), strict=True):
        if proposals is not None:
            found[key] = ImageProposals(record.size, proposals, fingerprint(record.path))
    save_proposals(out, f"the RPN of {name}", found, records.keys() - found.keys())


def rpn_proposals(
    detector: PreparedDetector, records: Sequence[ImageRecord]
) -> Iterator[tuple[ImageRecord, Proposals | None]]:
    """Each image with the proposals of a detector's first stage, in its pixels; ``None`` where it cannot be read."""
    for record in counted(records, "images", len(records)):
        try:
            pixels, _ = read_image(record.path, detector.config.data.max_pixels)
        except ImageError as error:
            _LOG.warning(f"{error}; it has no proposals")
            yield record, None
        else:
            yield record, detector.propose(pixels)
