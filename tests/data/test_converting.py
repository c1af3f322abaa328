"""Data sets in all formats, read back by the readers: boxes, classes, splits, images without objects and flags."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from itertools import permutations
from pathlib import Path

import pytest

from faster_rcnn.data.converting import WRITERS, convert, refuse_target, written_image
from faster_rcnn.data.formats.written import WrittenBox
from faster_rcnn.data.reading import load_present
from faster_rcnn.data.records import Dataset, ImageRecord
from faster_rcnn.errors import MachineError, OptionError
from faster_rcnn.parsing.values import is_text
from faster_rcnn.settings.schema import DataConfig
from faster_rcnn.structures import ClassMap
from files import bytes_below, coco_folder

PIXELS = {"coco": 0.01, "yolo": 0.01, "csv": 0.01, "voc": 0.5}
"""How far an edge may move: VOC has whole pixels, and two of them at least."""
WITHOUT_FLAGS = ("yolo", "csv")


def read(folder: Path) -> Dataset:
    return load_present(folder, DataConfig())


def boxes_of(record: ImageRecord, dataset: Dataset, *, ignored: bool) -> list[tuple[str, bool, tuple[float, ...]]]:
    """Class, flag and corners of each box, in an order that does not depend on the file."""
    truth = record.truth
    rows = zip(truth.labels.tolist(), truth.ignored.tolist(), truth.boxes.tolist(), strict=True)
    return sorted(
        (dataset.classes.name_of(label), flag, tuple(box)) for label, flag, box in rows if ignored or not flag
    )


def assert_equal_data(before: Dataset, after: Dataset, pixels: float, *, flags: bool) -> None:
    assert list(before.splits) == list(after.splits)
    for name, split in before.splits.items():
        found = {record.path.stem: record for record in after.splits[name].records}
        assert len(found) == len(split.records)
        for record in split.records:
            other = found[record.path.stem]
            assert other.size == record.size
            mine, theirs = boxes_of(record, before, ignored=flags), boxes_of(other, after, ignored=flags)
            assert [each[:2] for each in mine] == [each[:2] for each in theirs]
            for name_of_class, flag, box in mine:
                wide = min(box[2] - box[0], box[3] - box[1]) >= 2 or pixels < 0.5
                own = [each for each in theirs if each[:2] == (name_of_class, flag)]
                nearest = min(own, key=partial(distance, box))
                assert distance(box, nearest) <= (pixels if wide else 2)
                theirs.remove(nearest)


def distance(box: tuple[float, ...], other: tuple[str, bool, tuple[float, ...]]) -> float:
    """How far an edge of a box moved, in pixels; float32 rounds corners of some hundred pixels to 0.0001."""
    return max(abs(a - b) for a, b in zip(box, other[2], strict=True)) - 1e-3


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Three classes with odd ids, an image without objects, two splits."""
    rows = [[(0, 3.25, 4.0, 10.5, 20.0), (1, 30.0, 5.0, 20.0, 10.0)], [], [(2, 0.0, 0.0, 60.0, 40.0)]]
    data = coco_folder(tmp_path / "data", rows, split="train")
    other = coco_folder(tmp_path / "other", [[(1, 5.0, 5.0, 7.125, 9.0)]], split="val")
    text = (other / "annotations" / "val.json").read_text().replace('"1.png"', '"4.png"')
    (data / "annotations" / "val.json").write_text(text)
    shutil.move(other / "images" / "1.png", data / "images" / "4.png")
    return data


@pytest.mark.parametrize(("one", "two"), list(permutations(WRITERS, 2)))
def test_all_pairs_of_formats(one: str, two: str, made: Path, tmp_path: Path) -> None:
    before = read(made)
    convert(before, WRITERS[one], tmp_path / one)
    first = read(tmp_path / one)
    assert first.format == WRITERS[one].title
    convert(first, WRITERS[two], tmp_path / two)
    after = read(tmp_path / two)
    assert_equal_data(before, after, max(PIXELS[one], PIXELS[two]), flags=True)
    assert set(after.classes.names) == set(before.classes.names)


@pytest.mark.parametrize("name", ["bccd", "voc100", "coco128"])
@pytest.mark.parametrize("to", WRITERS)
def test_real_data(name: str, to: str, data_folder: Callable[[str], Path], tmp_path: Path) -> None:
    data = data_folder(name)
    before = read(data)
    done = convert(before, WRITERS[to], tmp_path / "out")
    after = read(tmp_path / "out")
    assert_equal_data(before, after, PIXELS[to], flags=to not in WITHOUT_FLAGS)
    assert done.images == {each: len(split.records) for each, split in before.splits.items()}


def test_flags_are_kept_or_their_boxes_left_out(made: Path, tmp_path: Path) -> None:
    text = (made / "annotations" / "train.json").read_text().replace('"iscrowd": 0', '"iscrowd": 1', 1)
    (made / "annotations" / "train.json").write_text(text)
    before = read(made)
    for to in WRITERS:
        done = convert(before, WRITERS[to], tmp_path / to)
        assert_equal_data(before, read(tmp_path / to), PIXELS[to], flags=to not in WITHOUT_FLAGS)
        assert any("ignored regions" in note for note in done.notes) == (to in WITHOUT_FLAGS)


def test_images_of_one_name_get_names_of_their_own(tmp_path: Path) -> None:
    data = coco_folder(tmp_path / "data", [[(0, 1, 1, 5, 5)], [(1, 2, 2, 6, 6)]], split="train")
    inner = data / "images" / "more"
    inner.mkdir()
    shutil.move(data / "images" / "2.png", inner / "1.png")
    file = data / "annotations" / "train.json"
    file.write_text(file.read_text().replace('"2.png"', '"more/1.png"'))
    done = convert(read(data), WRITERS["yolo"], tmp_path / "out")
    why = "since others have their names, label files cannot hold them, or no picture has their ending"
    assert done.notes[0] == f"images renamed, {why}: 1 ({inner / '1.png'} is 1-2.png)"
    assert sorted(each.name for each in (tmp_path / "out" / "images" / "train").iterdir()) == ["1-2.png", "1.png"]
    after = read(tmp_path / "out").splits["train"].records
    assert {record.path.stem: record.truth.labels.tolist() for record in after} == {"1": [0], "1-2": [1]}


@pytest.mark.parametrize("to", WRITERS)
def test_names_that_label_files_cannot_hold_are_changed(to: str, tmp_path: Path) -> None:
    names = [os.fsdecode(b"caf\xe9.png"), "a\nb.png", " a.png", "a .png", "a\\b.png", "p.jpg.png", ".b.png", "c 1.png"]
    names += [
        "#1.png",
        "d,e.png",
        "ü, 'x' & \"y\" <z>.png",
        "f;g.png",
        "%20.png",
        "a:b.png",
        "-1.png",
        "7.png",
        "8",
        "9.image",
    ]
    rows = [[(number % 3, number + 1.0, 2.0, 9.0, 9.0)] for number in range(len(names))]
    data = coco_folder(tmp_path / "data", rows, split="train")
    file = data / "annotations" / "train.json"
    content = json.loads(file.read_text())
    for entry, name in zip(content["images"], names, strict=True):
        (data / "images" / entry["file_name"]).rename(data / "images" / f"new {name}")
        entry["file_name"] = name
    for name in names:
        (data / "images" / f"new {name}").rename(data / "images" / name)
    file.write_text(json.dumps(content))
    done = convert(read(data), WRITERS[to], tmp_path / "out")
    assert done.notes[0].startswith("images renamed, ")
    assert ": 9 (" in done.notes[0]
    split = read(tmp_path / "out").splits["train"]
    found = {record.path.name: round(record.boxes_xywh[0, 0].item(), 6) for record in split.records}
    assert all(is_text(name) for name in found)
    new = {
        "c 1.png": 8.0,
        "#1.png": 9.0,
        "7.png": 16.0,
        "p_jpg.png": 6.0,
        "_b.png": 7.0,
        "caf_.png": 1.0,
        "8.png": 17.0,
        "9.image.png": 18.0,
    }
    assert {name: found[name] for name in new} == new
    assert sorted(found.values()) == [float(number) for number in range(1, len(names) + 1)]


@pytest.mark.parametrize("to", WRITERS)
def test_class_names_that_a_format_cannot_hold_are_changed(to: str, tmp_path: Path) -> None:
    names = (" cat", "cat", "a\tb\x00c", "x\n", "<&>'\"", "a/b", "ü\u3000ü", "yes", "1")
    rows = [[(label, 1.0 + label, 2.0, 9.0, 9.0) for label in range(len(names))]]
    data = coco_folder(tmp_path / "data", rows, ClassMap(names, tuple(range(1, 1 + len(names)))), split="train")
    done = convert(read(data), WRITERS[to], tmp_path / "out")
    after = read(tmp_path / "out")
    truth = after.splits["train"].records[0].truth
    places = truth.boxes[:, 0].tolist()
    found = {
        round(place) - 1: after.classes.name_of(label)
        for place, label in zip(places, truth.labels.tolist(), strict=True)
    }
    expected = names if to in ("coco", "yolo") else ("cat", "cat_", "a_b_c", "x", *names[4:])
    assert found == dict(enumerate(expected))
    assert any(note.startswith(f"class names changed, since {to.upper()} cannot") for note in done.notes) == (
        expected != names
    )


def test_targets_that_hold_something_are_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"E137 --out .* is not empty; name a new folder"):
        refuse_target(tmp_path, made)
    for inside in (made, made / "images", made / "new"):
        with pytest.raises(OptionError, match="is in the data's own folder"):
            refuse_target(inside, made)
    refuse_target(tmp_path / "new", made)


def test_a_full_disk_leaves_nothing(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = bytes_below(made)
    copied: list[object] = []
    copy = shutil.copyfile

    def full(source: Path, target: Path) -> None:
        copied.append(source)
        if len(copied) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        copy(source, target)

    monkeypatch.setattr("faster_rcnn.data.converting.shutil.copyfile", full)
    with pytest.raises(MachineError, match="no space left"):
        convert(read(made), WRITERS["coco"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "there").mkdir()
    copied.clear()
    with pytest.raises(MachineError, match="no space left"):
        convert(read(made), WRITERS["voc"], tmp_path / "there")
    assert list((tmp_path / "there").iterdir()) == []
    assert bytes_below(made) == before


def test_an_image_in_two_splits_keeps_the_boxes_of_each(tmp_path: Path) -> None:
    data = coco_folder(tmp_path / "data", [[(0, 1, 1, 5, 5), (1, 9, 9, 9, 9)]], split="train")
    coco_folder(tmp_path / "data", [[(1, 2, 2, 6, 6), (0, 8, 8, 20, 20)]], split="val")
    for to in WRITERS:
        convert(read(data), WRITERS[to], tmp_path / to)
        after = read(tmp_path / to)
        found = {
            name: [after.classes.name_of(each) for each in split.records[0].truth.labels.tolist()]
            for name, split in after.splits.items()
        }
        assert found == {"train": ["cat", "dog"], "val": ["dog", "cat"]}


def test_a_record_keeps_its_boxes_and_gets_a_name(tmp_path: Path) -> None:
    data = coco_folder(tmp_path, [[(1, 3.25, 4.0, 10.5, 20.0)]])
    [record] = read(data).splits["test"].records
    image = written_image(record, "new.png", 9)
    assert (image.name, image.image_id, image.size) == ("new.png", 9, record.size)
    assert image.boxes == (WrittenBox(3.25, 4.0, 10.5, 20.0, label=1, ignored=False, area=210.0),)
