"""``faster-rcnn proposals``: where objects may be, for every image of a data set, in a file that Fast R-CNN reads."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from faster_rcnn.cli.outputs import STDOUT, model_file, require_file, require_json, write_json
from faster_rcnn.data.reading import load_present
from faster_rcnn.errors import OptionError
from faster_rcnn.evaluation.recall_of_files import recall_of
from faster_rcnn.inference.external_proposals import compute_file, propose_with
from faster_rcnn.inference.loading import load_predictor
from faster_rcnn.proposals.file import load_proposals
from faster_rcnn.rpn.proposals import ProposalFilter
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import Config
from faster_rcnn.system.atomic import atomic_write
from faster_rcnn.system.console import say, show, warn


def run(
    data: Path,
    *,
    method: str,
    model: str | None,
    mode: str,
    out: Path,
    count: int = 2000,  # section 3.3: what Fast R-CNN is trained on
    json: str | None = None,
    device: str = "auto",
) -> int:
    """Propose for all images of all splits, write that down, and measure how many truths the proposals cover."""
    require_json(json, [None if model is None else model_file(model), data])
    require_file("--out", out, [None if model is None else model_file(model), data])
    if (method == "rpn") != (model is not None):
        raise OptionError(
            "--method rpn needs a detector, and only it: "
            "faster-rcnn proposals DATA --method rpn --model MODEL --out FILE"
        )
    if model is None and device != "auto":
        raise OptionError(f"--device {device}: selective search computes on the CPU; leave the option out")
    if count < 1:
        raise OptionError(f"--count {count}: at least one proposal of an image is written down")
    config = _config(mode, count)
    dataset = load_present(data, config.data)
    for warning in dataset.warnings:
        warn(warning)
    splits = list(dataset.splits.values())
    began = time.monotonic()
    with atomic_write(out) as written:  # read back from there, since a pipe cannot be
        if model is None:
            compute_file(written, dataset.root, splits, config)
        else:
            predictor = load_predictor(model, "auto", device)
            predictor.network.inference_filter = _giving(predictor.network.inference_filter, count)
            propose_with(predictor, model, written, dataset.root, splits)
        file = load_proposals(written)
    seconds = time.monotonic() - began
    counts = [len(each.proposals.boxes) for each in file.images.values()]
    if counts:
        each = f"{median(counts):g} proposals each (median), {seconds / len(counts):.3f} s per image"
        say(f"{len(counts)} images, {each} by {file.method}; wrote {out}")
    recalls = {split.name: recall_of(split, file, dataset.root) for split in splits}
    if json != STDOUT:
        for name, recall in recalls.items():
            show(f"{name}: {recall.images} images, {recall.truths} truths\n{recall.table()}")
    if json is not None:
        write_json(json, {name: each.to_json() for name, each in recalls.items()})
    return 0


def _config(mode: str, count: int) -> Config:
    config = preset("small")
    search = {"selective_search": mode, "outside_proposals": count}
    return config.model_copy(update={"detector": config.detector.model_copy(update=search)})


def _giving(rule: ProposalFilter, count: int) -> ProposalFilter:
    """The same with ``count`` proposals of an image, even if all are of one level."""
    return replace(rule, before_nms=max(rule.before_nms, count), after_nms=count)
