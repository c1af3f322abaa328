"""The command ``faster-rcnn proposals``."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Literal

from faster_rcnn.choices import SearchMode
from faster_rcnn.cli.options import Integer, JsonOut, announce_work
from faster_rcnn.cli.outputs import deliver, model_file, refuse_same_file, require_file, require_json
from faster_rcnn.errors import OptionError
from faster_rcnn.system.atomic import atomic_write
from faster_rcnn.system.console import say, warn

if TYPE_CHECKING:
    from faster_rcnn.proposals.file import ProposalFile

Method = Literal["selective-search", "rpn"]


def proposals(
    data: Path,
    /,
    *,
    method: Method,
    out: Path,
    model: str | None = None,
    mode: SearchMode = "fast",
    count: Integer = 2000,  # section 3.3: what Fast R-CNN is trained on
    device: str = "auto",
    json: JsonOut = None,
) -> int:
    """Compute proposals for every image, write them to a file for Fast R-CNN, and measure their recall.

    Args:
        data: Folder or file of labelled images.
        method: Selective search, or the first stage (RPN) of a detector.
        out: File of proposals to write.
        model: Detector for the method rpn: model file, run folder or published name.
        mode: Mode of selective search; quality finds more, and takes longer.
        count: Proposals of an image at most, best first; it replaces the model's own number.
        device: Device that computes the method rpn: auto, cpu, cuda or cuda:N.
        json: File for the recall of each split; - for standard output.
    """
    announce_work(f"proposals for {data}")
    from faster_rcnn.data.reading import load_present
    from faster_rcnn.evaluation.recall_of_files import RecallOfSplits, recall_of
    from faster_rcnn.inference.external_proposals import (
        search_settings,
        with_count,
        write_rpn_proposals,
        write_searched_proposals,
    )
    from faster_rcnn.inference.loading import load_detector
    from faster_rcnn.proposals.file import load_proposals

    require_json(json, [None if model is None else model_file(model), data])
    require_file("--out", out, [None if model is None else model_file(model), data])
    refuse_same_file({"--json": json, "--out": out})
    _refuse_options(method, model, count, device)
    config = search_settings(mode, count)
    dataset = load_present(data, config.data)
    for warning in dataset.warnings:
        warn(warning)
    splits = list(dataset.splits.values())
    began = time.monotonic()
    with atomic_write(out) as written:  # read back from there, since a pipe cannot be
        if model is None:
            write_searched_proposals(written, dataset.root, splits, config)
        else:
            detector = with_count(load_detector(model, "auto", device), count)
            write_rpn_proposals(detector, model, written, dataset.root, splits)
        file = load_proposals(written)
    _say_summary(file, time.monotonic() - began, out)
    deliver(RecallOfSplits({split.name: recall_of(split, file, dataset.root) for split in splits}), json)
    return 0


def _refuse_options(method: Method, model: str | None, count: int, device: str) -> None:
    if (method == "rpn") != (model is not None):
        raise OptionError(
            "--method rpn needs a detector, and only it: "
            "faster-rcnn proposals DATA --method rpn --model MODEL --out FILE"
        )
    if model is None and device != "auto":
        raise OptionError(f"--device {device}: selective search computes on the CPU; leave the option out")
    if count < 1:
        raise OptionError(f"--count {count}: at least one proposal of an image is written")


def _say_summary(file: ProposalFile, seconds: float, out: Path) -> None:
    counts = [len(each.proposals.boxes) for each in file.images.values()]
    if counts:
        each = f"{median(counts):g} proposals each (median), {seconds / len(counts):.3f} s per image"
        say(f"{len(counts)} images, {each} by {file.method}; wrote {out}")
