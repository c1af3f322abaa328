"""The whole pass over a data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.checking.run import check_data, nothing_left
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.errors import DatasetError
from faster_rcnn.settings.schema import DataConfig
from files import bytes_below, coco_folder
from tiny import tiny_config

BOX = (0, 3.5, 4.0, 10.0, 20.0)


def test_sound_boxes_keep_all_digits_and_areas(tmp_path: Path) -> None:
    data = coco_folder(tmp_path, [[(0, 3.3, 4.1, 10.7, 20.9), (1, 50.0, 4.0, 30.0, 10.0)]], split="train")
    before = bytes_below(data)
    checked = check_data(data, tiny_config())
    record = checked.mended.splits["train"].records[0]
    assert record.boxes_xywh.tolist() == [[3.3, 4.1, 10.7, 20.9], [50.0, 4.0, 10.0, 10.0]]
    assert record.areas.tolist() == [10.7 * 20.9, 100.0]  # that of a clipped box is its own
    assert [each.kind for each in checked.findings if each.level == "error"] == ["box.beyond"]
    assert checked.redraws == {}
    assert checked.undecided == []
    assert bytes_below(data) == before


def test_the_gravest_findings_come_first(tmp_path: Path) -> None:
    data = coco_folder(tmp_path, [[BOX, BOX], [(0, 3.5, 4.0, 0.0, 2.0)]], split="train")
    levels = [each.level for each in check_data(data, tiny_config()).findings]
    assert levels == sorted(levels, key=["error", "warning", "remark"].index)
    assert {"error", "warning", "remark"} <= set(levels)


def test_trimmed_boxes_are_counted_once(tmp_path: Path) -> None:
    data = coco_folder(tmp_path, [[(0, 40.0, 4.0, 20.5, 10.0), (1, 30.0, 4.0, 30.5, 10.0)]], split="train")
    found = [each for each in check_data(data, tiny_config()).findings if each.kind == "box.trimmed"]
    assert [each.value for each in found] == ["2 boxes"]


def test_a_split_without_a_usable_image_is_named(tmp_path: Path) -> None:
    data = coco_folder(tmp_path, [[BOX]], split="train")
    (data / "images" / "1.png").write_bytes(b"")
    checked = check_data(data, tiny_config())
    assert checked.mended.splits == {}
    assert nothing_left(checked) == "no image of train can be used"
    assert checked.objects is None


@pytest.mark.parametrize(
    ("rows", "crowd", "value"),
    [
        ([[], []], 0, "2 images without a sound box"),
        ([[(1, 5.0, 5.0, 0.0, 7.0)]], 0, "1 image without a sound box"),
        ([[BOX]], 1, "1 image without a sound box, only 1 that are ignored (crowd or difficult)"),
    ],
)
def test_a_train_split_without_objects_is_an_error(
    tmp_path: Path, rows: list[list[tuple[float, ...]]], crowd: int, value: str
) -> None:
    data = coco_folder(tmp_path, rows, split="train")
    file = data / "annotations" / "train.json"
    file.write_text(file.read_text().replace('"iscrowd": 0', f'"iscrowd": {crowd}'))
    checked = check_data(data, tiny_config())
    assert [each.value for each in checked.undecided] == [value]
    with pytest.raises(DatasetError):
        load_dataset(data, DataConfig())


def test_settings_of_the_data_hold(tmp_path: Path) -> None:
    data = coco_folder(tmp_path, [[BOX]], split="train")
    config = tiny_config().model_copy(update={"data": DataConfig(max_pixels=100)})
    assert [each.kind for each in check_data(data, config).findings if each.level == "error"] == ["image.too-large"]


@pytest.mark.parametrize("name", ["zero_area_338", "duplicate_box", "truncated", "grey"])
def test_known_bad_inputs_are_named(tmp_path: Path, name: str, data_folder: object) -> None:
    source = data_folder("bad_inputs")  # type: ignore[operator]
    for folder, ending in (("Annotations", ".xml"), ("JPEGImages", ".jpg")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}{ending}").write_bytes((source / f"{name}{ending}").read_bytes())
    kinds = {each.kind for each in check_data(tmp_path, tiny_config()).findings}
    expected = {
        "zero_area_338": "box.flat",
        "duplicate_box": "box.duplicate",
        "truncated": "image.damaged",
        "grey": "image.converted",
    }
    assert expected[name] in kinds
