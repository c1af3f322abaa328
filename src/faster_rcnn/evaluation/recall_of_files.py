"""Recall of proposals that files hold for the images of a data set."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from faster_rcnn.data.reading import load_split
from faster_rcnn.data.records import Split
from faster_rcnn.errors import DatasetError
from faster_rcnn.evaluation.detector import choose_split
from faster_rcnn.evaluation.recall import ProposalRecall, measure_proposals
from faster_rcnn.evaluation.split import truths_of
from faster_rcnn.proposals.file import ProposalFile, image_key, load_proposals
from faster_rcnn.settings.schema import DataConfig
from faster_rcnn.structures import Proposals

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecallOfFiles:
    """Recall of several files of proposals on one split."""

    split: str
    measured: tuple[tuple[ProposalFile, ProposalRecall], ...]

    def by_name(self) -> dict[str, ProposalRecall]:
        """Recall by method; the name has the file's path too where two files have the same method."""
        count = Counter(file.method for file, _ in self.measured)
        return {
            file.method if count[file.method] == 1 else f"{file.method}, {file.path}": recall
            for file, recall in self.measured
        }

    def table(self) -> str:
        """A table for each file."""
        return "\n".join(_titled(f"{name} on {self.split}", recall) for name, recall in self.by_name().items())

    def to_json(self) -> dict[str, Any]:
        """The object that ``recall --json`` writes."""
        entries = [
            {"file": str(file.path), "method": file.method, **recall.to_json()} for file, recall in self.measured
        ]
        return {"split": self.split, "proposals": entries}


@dataclass(frozen=True, slots=True)
class RecallOfSplits:
    """Recall of one file of proposals on several splits."""

    recalls: Mapping[str, ProposalRecall]
    """By name of the split."""

    def table(self) -> str:
        """A table for each split."""
        return "\n".join(_titled(name, recall) for name, recall in self.recalls.items())

    def to_json(self) -> dict[str, Any]:
        """The object that ``proposals --json`` writes."""
        return {name: recall.to_json() for name, recall in self.recalls.items()}


def _titled(title: str, recall: ProposalRecall) -> str:
    return f"{title}: {recall.images} images, {recall.truths} truths\n{recall.table()}"


def measure_files(data: Path, paths: Sequence[Path], split: str | None) -> RecallOfFiles:
    """Recall of files of proposals on a split; ``test`` where there is one, else ``val``, if it is not given.

    Raises:
        DatasetError: the data or a file cannot be used, or a file holds proposals for none of the images.
        OptionError: there is no such split.
    """
    files = [load_proposals(path) for path in paths]
    dataset = load_split(data, DataConfig(), split)
    part = choose_split(dataset, split)
    for file in files:
        _refuse_other_images(part, file, dataset.root)
    return RecallOfFiles(part.name, tuple((file, recall_of(part, file, dataset.root)) for file in files))


def recall_of(split: Split, file: ProposalFile, root: Path) -> ProposalRecall:
    """Recall over a split; images that were unreadable, or for which the file has nothing, count as without proposals.

    Args:
        split: images and their ground truth.
        file: proposals by image, under the paths below ``root``.
        root: folder of the data set.
    """
    nothing = Proposals(torch.zeros(0, 4), torch.zeros(0))
    given = [file.known(image_key(root, record.path), record.size, record.path) for record in split.records]
    return measure_proposals(truths_of(split.records), [nothing if each is None else each for each in given])


def _refuse_other_images(split: Split, file: ProposalFile, root: Path) -> None:
    """Raise ``DatasetError`` for proposals of other images; warn where some of the images have none."""
    keys = [image_key(root, record.path) for record in split.records]
    missing = [key for key in keys if key not in file.images]
    if missing and len(missing) == len(keys):
        raise DatasetError(
            f"{file.path} has proposals for none of the {len(keys)} images of {split.name}, such as '{keys[0]}'; "
            "choose another split with --split, or make them: faster-rcnn proposals DATA --method selective-search "
            "--out FILE",
            code="E136",
        )
    if missing:
        _LOG.warning(
            f"{file.path} has no proposals for {len(missing)} of the {len(keys)} images of {split.name}, such as "
            f"'{missing[0]}'; the objects in them count as missed"
        )
