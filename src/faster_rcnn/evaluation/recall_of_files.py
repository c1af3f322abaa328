"""Recall of the proposals of a file over a split."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from faster_rcnn.data.records import Split
from faster_rcnn.errors import DatasetError
from faster_rcnn.evaluation.recall import ProposalRecall, measure_proposals
from faster_rcnn.evaluation.split import truths_of
from faster_rcnn.proposals.file import ProposalFile, image_key
from faster_rcnn.structures import Proposals

_LOG = logging.getLogger(__name__)


def recall_of(split: Split, file: ProposalFile, root: Path) -> ProposalRecall:
    """Recall over a split; images that could not be read, or for which nothing was proposed, have no proposals."""
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
            f"'{missing[0]}'; what is in them counts as not covered"
        )
