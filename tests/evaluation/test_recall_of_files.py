"""Recall of files of proposals: names of the files, tables and JSON, by hand."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.evaluation.recall import CURVE_COUNTS, IOUS, ProposalRecall
from faster_rcnn.evaluation.recall_of_files import RecallOfFiles, RecallOfSplits
from faster_rcnn.proposals.file import ProposalFile, load_proposals, save_proposals


def recall(height: float) -> ProposalRecall:
    """The same recall at every number of proposals and every IoU."""
    return ProposalRecall(
        images=5,
        truths=7,
        max_proposals=2000,
        recall={count: (height,) * len(IOUS) for count in CURVE_COUNTS},
        average={count: dict.fromkeys(("all", "small", "medium", "large"), height) for count in CURVE_COUNTS},
    )


def file(path: Path, method: str) -> ProposalFile:
    save_proposals(path, method, {})
    return load_proposals(path)


def test_files_of_one_method_are_named_by_their_paths(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.safetensors" for name in "abc"]
    files = [file(path, method) for path, method in zip(paths, ("search", "rpn", "search"), strict=True)]
    measured = RecallOfFiles("val", tuple((each, recall(0.5)) for each in files))
    assert list(measured.by_name()) == [f"search, {paths[0]}", "rpn", f"search, {paths[2]}"]
    assert f"search, {paths[0]} on val: 5 images, 7 truths\nproposals  recall" in measured.table()
    written = measured.to_json()
    assert written["split"] == "val"
    assert [each["file"] for each in written["proposals"]] == [str(path) for path in paths]
    assert written["proposals"][1]["average_recall"]["300"]["all"] == 0.5


def test_splits_are_titled_by_their_names() -> None:
    measured = RecallOfSplits({"train": recall(0.25), "val": recall(0.75)})
    titles = [line for line in measured.table().splitlines() if "truths" in line]
    assert titles == ["train: 5 images, 7 truths", "val: 5 images, 7 truths"]
    assert list(measured.to_json()) == ["train", "val"]
