"""Proposals from outside for the images of a data set: from a file, or computed once and stored."""

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

from faster_rcnn.choices import SearchMode
from faster_rcnn.data.decode import read_image
from faster_rcnn.data.records import Dataset, ImageRecord, Split
from faster_rcnn.data.workers import end_with_parent
from faster_rcnn.errors import DatasetError, ImageError, OptionError
from faster_rcnn.images import size_of
from faster_rcnn.inference.inputs import AnyImage
from faster_rcnn.inference.predictor import Predictor
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
from faster_rcnn.system.devices import computing_in
from faster_rcnn.system.progress import counted

_LOG = logging.getLogger(__name__)

FILE = "proposals.safetensors"
"""In a run folder: what was computed for the run."""

Propose = Callable[[Tensor], Proposals]
"""Proposals of one image (3, height, width), in its pixels."""


def outside_proposals(dataset: Dataset, config: Config, folder: Path) -> dict[str, list[Proposals]]:
    """For Fast R-CNN: the best proposals for each image of the training and validation splits, by name of split.

    From the file ``data.proposals``; else from what this run has stored in its folder; else computed by selective
    search. Empty for detectors that make their own. Raises ``DatasetError`` where an image has none.
    """
    if config.detector.kind != "fast-rcnn":
        return {}
    splits = [dataset.splits[name] for name in ("train", "val") if name in dataset.splits]
    stored = folder / FILE
    given = config.data.proposals
    if given is None and not stored.exists():
        _LOG.info("no --proposals: selective search makes them, which takes a second or so per image; they are stored")
        compute_file(stored, dataset.root, splits, config)
    file = load_proposals(stored if given is None else Path(given))
    _LOG.info(f"proposals of {file.method} from {file.path}")
    most = config.detector.outside_proposals
    return {split.name: of_split(file, dataset.root, split, most, config.data) for split in splits}


def of_split(file: ProposalFile, root: Path, split: Split, most: int, data: DataConfig) -> list[Proposals]:
    """The best proposals for each record of a split; raises ``DatasetError`` where a readable image has none."""
    file.refuse_empty([image_key(root, record.path) for record in split.records], split.name)
    return known_of_split(file, root, split, most, data)


def known_of_split(file: ProposalFile, root: Path, split: Split, most: int, data: DataConfig) -> list[Proposals]:
    """The same, where an image may have no proposals; raises ``DatasetError`` where the file does not know one."""
    keys = [image_key(root, record.path) for record in split.records]
    file.refuse_missing(keys, split.name)
    return [_known(file, key, record, most, data) for key, record in zip(keys, split.records, strict=True)]


def _known(file: ProposalFile, key: str, record: ImageRecord, most: int, data: DataConfig) -> Proposals:
    found = file.known(key, record.size, record.path)
    return _of_unreadable(file, record, data) if found is None else best(found, most)


def _of_unreadable(file: ProposalFile, record: ImageRecord, data: DataConfig) -> Proposals:
    """None for an image that still cannot be read, since nobody will look at it; raises where it was mended."""
    try:
        read_image(record.path, data.max_pixels)
    except ImageError:
        return Proposals(torch.zeros(0, 4), torch.zeros(0))
    raise DatasetError(
        f"{file.path} has no proposals for {record.path}, which could not be read when they were made and now can; "
        "make them anew: faster-rcnn proposals DATA --method selective-search --out FILE",
        code="E136",
    )


def best(proposals: Proposals, most: int) -> Proposals:
    """The first ``most``."""
    return Proposals(proposals.boxes[:most], proposals.scores[:most])


def compute_file(path: Path, root: Path, splits: Sequence[Split], config: Config) -> None:
    """Selective search on every image of some splits, one process per processor; raises ``DatasetError``."""
    detector = config.detector
    search = partial(selective_search, mode=detector.selective_search, most=detector.outside_proposals)
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
    """``map`` over one process per processor; the plain one where this process is daemonic and may have no children."""
    if current_process().daemon:
        yield map
        return
    with ProcessPoolExecutor(initializer=_begin) as pool:
        yield pool.map


def _begin() -> None:
    """Called first in each of these processes."""
    end_with_parent()
    torch.set_num_threads(1)  # a forked process must not use the threads that its parent had


def search_settings(mode: SearchMode, count: int) -> Config:
    """Settings with which ``compute_file`` searches in ``mode`` for at most ``count`` proposals of an image."""
    config = preset("small")
    search = {"selective_search": mode, "outside_proposals": count}
    return config.model_copy(update={"detector": config.detector.model_copy(update=search)})


def with_count(predictor: Predictor, count: int) -> Predictor:
    """The predictor, whose first stage now gives ``count`` proposals of an image."""
    predictor.network.inference_filter = filter_with_count(predictor.network.inference_filter, count)
    return predictor


def filter_with_count(rule: ProposalFilter, count: int) -> ProposalFilter:
    """The same filter with ``count`` proposals of an image, even if all of them are of one level."""
    return replace(rule, before_nms=max(rule.before_nms, count), after_nms=count)


def search_method(config: Config) -> str:
    """What a file of selective search says about itself."""
    return f"selective search ({config.detector.selective_search})"


def _propose(search: Propose, data: DataConfig, record: ImageRecord) -> Proposals | str:
    """Proposals for one image, or why there are none."""
    try:
        return search(read_image(record.path, data.max_pixels)[0])
    except ImageError as error:
        return str(error)


def proposals_by_path(
    split: Split, outside: Sequence[Proposals] | None
) -> Callable[[AnyImage, Tensor], Proposals] | None:
    """What a ``Predictor`` asks for the proposals of an image of this split; ``None`` where there are none."""
    if outside is None:
        return None
    by_path: Mapping[str, Proposals] = {
        str(record.path): each for record, each in zip(split.records, outside, strict=True)
    }
    return lambda image, _: by_path[str(image)]


def proposals_by_name(file: ProposalFile, most: int) -> Callable[[AnyImage, Tensor], Proposals]:
    """What a ``Predictor`` asks for the proposals of an image file, wherever the data set lies.

    An image is recognised by the end of its path, the longest one that the file knows. Raises ``DatasetError`` where
    that has no proposals, or proposals of another image.
    """

    def of_image(image: AnyImage, pixels: Tensor) -> Proposals:
        parts = Path(str(image)).resolve().parts[1:]
        ends = ("/".join(parts[first:]) for first in range(len(parts)))
        key = next((end for end in ends if end in file.images), str(image))
        return best(file.of(key, size_of(pixels), Path(str(image))), most)

    return of_image


def propose_with(predictor: Predictor, name: str, out: Path, root: Path, splits: list[Split]) -> None:
    """The proposals of a detector's first stage, as it makes them in inference."""
    if predictor.config.detector.kind == "fast-rcnn":
        raise OptionError(f"{name} is a Fast R-CNN, which has no first stage; --method rpn needs one")
    found: dict[str, ImageProposals] = {}
    records = {image_key(root, record.path): record for split in splits for record in split.records}
    for key, record in counted(records.items(), "images", len(records)):
        try:
            pixels, _ = read_image(record.path, predictor.config.data.max_pixels)
        except ImageError as error:
            _LOG.warning(f"{error}; it has no proposals")
            continue
        with torch.inference_mode(), computing_in(predictor.floats, predictor.device):
            [proposals] = predictor.network.propose([pixels.to(predictor.device)])
        found[key] = ImageProposals(record.size, proposals.to("cpu"), fingerprint(record.path))
    save_proposals(out, f"the RPN of {name}", found, records.keys() - found.keys())
