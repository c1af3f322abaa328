"""Each of some fifty faults in real data is found, named and mended, and nothing else is changed."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from faster_rcnn.checking.mending import CHANGES, mend
from faster_rcnn.checking.run import Checked, check_data
from faster_rcnn.data.converting import WRITERS, convert
from faster_rcnn.data.reading import load_present
from faster_rcnn.data.records import Dataset
from faster_rcnn.settings.schema import DataConfig, DetectorConfig
from files import bytes_below
from mutated_data import MUTATIONS, Mutation, few_images
from tiny import tiny_config

CONFIG = tiny_config().model_copy(update={"detector": DetectorConfig(kind="fast-rcnn")})
"""Without anchors: building a detector for their strides would take most of the time."""
LOST = {"nothing": 0, "box": 1}
SETS = tuple(dict.fromkeys((each.data, each.format) for each in MUTATIONS))

Box = tuple[str, str, str, tuple[float, ...]]
"""Split, image, class and corners."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, data_folder: Callable[[str], Path]) -> dict[tuple[str, str], Path]:
    root = tmp_path_factory.mktemp("sound")
    few = {data: few_images(data_folder(data)) for data, _ in SETS}
    folders = {(data, form): root / f"{data}-{form}" for data, form in SETS}
    for (data, form), folder in folders.items():
        convert(few[data], WRITERS[form], folder)
    return folders


def faults(checked: Checked) -> Counter[str]:
    return Counter(finding.kind for finding in checked.findings if finding.level != "remark")


def boxes_of(dataset: Dataset) -> list[Box]:
    return [
        (name, record.path.stem, dataset.classes.name_of(label), tuple(box))
        for name, split in dataset.splits.items()
        for record in split.records
        for label, box in zip(record.truth.labels.tolist(), record.truth.boxes.tolist(), strict=True)
    ]


def lost(before: list[Box], after: list[Box]) -> list[Box]:
    """Boxes without a counterpart whose edges are the same to a hundredth of a pixel."""
    left = list(after)
    missing = []
    for box in before:
        same = [each for each in left if each[:3] == box[:3] and distance(each[3], box[3]) <= 0.01]
        if same:
            left.remove(same[0])
        else:
            missing.append(box)
    return missing


def distance(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    return max(abs(a - b) for a, b in zip(first, second, strict=True))


def test_there_are_at_least_forty() -> None:
    assert len(MUTATIONS) >= 40
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)


@pytest.mark.parametrize(("data", "form"), SETS)
def test_sound_data_have_no_fault(sound: dict[tuple[str, str], Path], data: str, form: str) -> None:
    assert faults(check_data(sound[data, form], CONFIG)) == {}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_fault_is_found_named_and_mended(
    sound: dict[tuple[str, str], Path], tmp_path: Path, mutation: Mutation
) -> None:
    before = boxes_of(load_present(sound[mutation.data, mutation.format], DataConfig()))
    folder = Path(shutil.copytree(sound[mutation.data, mutation.format], tmp_path / "data"))
    place = mutation.change(folder)
    content = bytes_below(folder)

    checked = check_data(folder, CONFIG)
    assert faults(checked) == {mutation.kind: mutation.count}
    named = [finding for finding in checked.findings if finding.kind == mutation.kind]
    assert all(place in finding.place for finding in named), [finding.place for finding in named]

    mend(checked, tmp_path / "mended")
    assert bytes_below(folder) == content
    assert faults(check_data(tmp_path / "mended", CONFIG)) == {}
    assert (tmp_path / "mended" / CHANGES).read_text().count("\n- ") >= mutation.count
    gone = lost(before, boxes_of(load_present(tmp_path / "mended", DataConfig())))
    if mutation.loses in LOST:
        assert len(gone) == LOST[mutation.loses], gone
    else:
        assert len({box[:2] for box in gone}) == (1 if mutation.loses == "image" else 2)
