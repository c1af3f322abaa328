"""Advice that was tried, followed: the share of remedies that make the missed object appear in an ordinary prediction.

    python benchmarks/advice.py --data DIR --model MODEL [--split val] [--conf 0.5] [--images N] [--any-class]

Every image is traced, and every missed truth gets its advice. Then `faster-rcnn predict` runs with the words of each
remedy, as a user would type them, on the images of all objects that it is for; nothing of the trace is used. The share
must be 1. Advice on anchors, which needs training, is counted apart.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import torch
from bars import Bar, judge

from faster_rcnn import Detector
from faster_rcnn.cli.main import main as command
from faster_rcnn.data.reading import load_split
from faster_rcnn.data.records import ImageRecord, Split
from faster_rcnn.evaluation.detector import choose_split, settings_for
from faster_rcnn.explanation.causes.advice import Advice
from faster_rcnn.explanation.causes.kinds import VerdictKind
from faster_rcnn.explanation.causes.matching import UNMATCHED, match_detections
from faster_rcnn.explanation.dataset.classes import in_labels_of
from faster_rcnn.structures import ClassMap, Detections, GroundTruth

IOU = 0.5


@dataclass(frozen=True, slots=True)
class Given:
    """The advice on one missed truth."""

    record: ImageRecord
    advice: Advice


def split_of(detector: Detector, data: Path, name: str | None, any_class: bool) -> Split:
    """The split in the labels of the detector; ``any_class`` gives each truth one of them by its own label."""
    split = choose_split(load_split(data, settings_for(data, detector.config.data), name), name)
    if not any_class:
        return in_labels_of(split, detector.classes, "the detector").split
    truths = [replace(one.truth, labels=one.truth.labels % len(detector.classes)) for one in split.records]
    records = tuple(replace(one, truth=truth) for one, truth in zip(split.records, truths, strict=True))
    return replace(split, records=records, classes=detector.classes)


def advice_on_all(detector: Detector, records: Sequence[ImageRecord], conf: float) -> list[Given]:
    """The advice on every missed truth; prints the counts and the time."""
    given: list[Given] = []
    start, truths = time.monotonic(), 0
    for number, record in enumerate(records, 1):
        trace = detector.trace(str(record.path), record.truth, conf, iou_threshold=IOU)
        truths += len(trace.verdicts)
        given += [Given(record, advice) for advice in trace.advices if advice.verdict.missed]
        if number % 10 == 0:
            print(f"{number}/{len(records)} images, {len(given)} missed truths", flush=True)
    seconds = time.monotonic() - start
    print(f"{truths} truths, {len(given)} missed; {seconds / max(1, len(records)):.2f} s per image")
    return given


def print_kinds(given: Sequence[Given]) -> None:
    """A line for each verdict: how many have a remedy, and the settings of these remedies."""
    for kind in VerdictKind:
        own = [each.advice for each in given if each.advice.verdict.kind == kind]
        settings = Counter(advice.remedy.setting for advice in own if advice.remedy is not None)
        if own:
            listed = ", ".join(f"{name} {count}" for name, count in settings.most_common())
            print(f"{kind:22} {len(own):5} missed, {settings.total():5} with a remedy: {listed}")
    remedies = [each.advice.remedy for each in given if each.advice.remedy is not None]
    if remedies:
        further, false = (median(getattr(each, name) for each in remedies) for name in ("further", "false"))
        print(f"beside the object a remedy brings {further:g} further detections, {false:g} of them false (medians)")


def follow(model: str, given: Sequence[Given], classes: ClassMap, conf: float) -> list[bool]:
    """Run the command with the words of every remedy; whether the object then appears."""
    by_words = defaultdict(list)
    for each in given:
        by_words[each.advice.words].append(each)
    appeared = []
    for words, own in by_words.items():
        options = shlex.split(words)
        options += [] if "--conf" in options else ["--conf", f"{conf:g}"]
        paths = list(dict.fromkeys(str(each.record.path) for each in own))
        with tempfile.TemporaryDirectory() as folder:
            lines = Path(folder) / "found.jsonl"
            code = command(["--quiet", "predict", model, *paths, "--json", str(lines), *options])
            found = [json.loads(line) for line in lines.read_text().splitlines()] if code == 0 else []
        of_path = {each["image"]: detections_of(each, classes) for each in found}
        for each in own:
            detections = of_path.get(str(each.record.path))
            appeared.append(detections is not None and is_found(each, detections))
            if not appeared[-1]:
                print(f"not found: {each.record.path.name}, truth {each.advice.verdict.truth}: {each.advice}")
    return appeared


def detections_of(line: dict[str, object], classes: ClassMap) -> Detections:
    """The detections of one line of ``predict --json``."""
    rows = line["detections"]
    assert isinstance(rows, list)
    return Detections(
        torch.tensor([row["box"] for row in rows], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([row["score"] for row in rows], dtype=torch.float32),
        torch.tensor([classes.ids.index(row["label_id"]) for row in rows], dtype=torch.int64),
    )


def is_found(given: Given, detections: Detections) -> bool:
    """Whether a detection counts for the truth."""
    truth: GroundTruth = given.record.truth
    return int(match_detections(detections, truth, IOU).detections[given.advice.verdict.truth]) != UNMATCHED


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure as the command line asks; returns the exit code of the bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="labelled images")
    parser.add_argument("--model", required=True, help="model file, run folder or published name")
    parser.add_argument("--split", help="split of the data; by default test where there is one, else val")
    parser.add_argument("--conf", type=float, default=0.5, help="lowest score that is reported")
    parser.add_argument("--images", type=int, help="number of images; by default all")
    parser.add_argument("--any-class", action="store_true", help="for data without a class of the detector")
    asked = parser.parse_args(arguments)
    detector = Detector.load(asked.model, device="cpu")
    split = split_of(detector, asked.data, asked.split, asked.any_class)
    given = advice_on_all(detector, split.records[: asked.images], asked.conf)
    print_kinds(given)
    followed = [each for each in given if each.advice.remedy is not None]
    anchors = sum(each.advice.anchors is not None for each in given)
    print(f"{len(given) - len(followed)} without a single setting that finds them; {anchors} with anchors to train")
    appeared = follow(asked.model, followed, detector.classes, asked.conf)
    share = sum(appeared) / len(appeared) if appeared else float("nan")
    return judge([Bar(f"share of {len(appeared)} remedies that find the object", share, at_least=1)])


if __name__ == "__main__":
    sys.exit(main())
