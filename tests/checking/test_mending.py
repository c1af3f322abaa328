"""A mended copy: its format, its list of changes, and what stops it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faster_rcnn.checking import mending
from faster_rcnn.checking.mending import CHANGES, mend, refuse_undecided
from faster_rcnn.checking.run import Checked, check_data
from faster_rcnn.data.decode import read_image
from faster_rcnn.data.reading import load_present
from faster_rcnn.errors import DatasetError, MachineError
from faster_rcnn.settings.schema import DataConfig, DetectorConfig
from faster_rcnn.system.terminal import printable
from files import bytes_below, coco_folder, image_file, rgb
from tiny import tiny_config

CONFIG = tiny_config().model_copy(update={"detector": DetectorConfig(kind="fast-rcnn")})
BOX, FLAT = (0, 3.5, 4.0, 10.0, 20.0), (1, 5.0, 5.0, 0.0, 7.0)


def check(data: Path) -> Checked:
    return check_data(data, CONFIG)


def test_every_change_is_listed_and_the_data_are_not_changed(tmp_path: Path) -> None:
    data = coco_folder(tmp_path / "data", [[BOX, FLAT], [BOX]], split="train")
    (data / "images" / "2.png").write_bytes(b"")
    before = bytes_below(data)
    notes = mend(check(data), tmp_path / "out")
    assert bytes_below(data) == before
    lines = (tmp_path / "out" / CHANGES).read_text().splitlines()
    assert lines[:3] == [
        "# Changes of data",
        "",
        "`faster-rcnn check --fix` made 2 changes. The data themselves are as they were.",
    ]
    assert sum(line.startswith("- train 2.png: files that are no images: ") for line in lines) == 1
    assert (
        "- train 1.png train.json annotation id 2: boxes without an area: [5.0, 5.0, 0.0, 7.0] -> the box is dropped"
        in lines
    )
    assert [note.split(",")[0] for note in notes] == ["annotations have their boxes"]
    split = load_present(tmp_path / "out", DataConfig()).splits["train"]
    assert [record.boxes_xywh.tolist() for record in split.records] == [[list(BOX[1:])]]


def test_voc_with_fractions_becomes_coco(tmp_path: Path) -> None:
    voc = tmp_path / "voc"
    image_file(voc / "JPEGImages" / "a.png")
    (voc / "Annotations").mkdir()
    box = "<xmin>4.25</xmin><ymin>5</ymin><xmax>30</xmax><ymax>20</ymax>"
    objects = f"<object><name>cat</name><bndbox>{box}</bndbox></object>" * 2
    (voc / "Annotations" / "a.xml").write_text(f"<annotation><filename>a.png</filename>{objects}</annotation>")
    notes = mend(check(voc), tmp_path / "out")
    assert notes[0].startswith("written as COCO JSON, since some boxes have corners that are no integers")
    record = load_present(tmp_path / "out", DataConfig()).splits["train"].records[0]
    assert record.truth.boxes.tolist() == [[3.25, 4.0, 30.0, 20.0]]


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_turned_image_is_the_same_picture_upright(tmp_path: Path, orientation: int) -> None:
    data = coco_folder(tmp_path / "data", [[BOX]], split="train")
    path = data / "images" / "1.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = rgb(40, 60) if orientation == 3 else rgb(60, 40)
    Image.fromarray(stored).save(path, exif=exif)
    upright = read_image(path, 10**6)[0]
    mend(check(data), tmp_path / "out")
    written = tmp_path / "out" / "images" / "train" / "1.png"
    assert np.array_equal(np.asarray(Image.open(written)), upright.permute(1, 2, 0).numpy())
    assert Image.open(written).getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_the_stored_pixels_of_a_turned_image_are_kept(tmp_path: Path, ending: str, orientation: int) -> None:
    data = coco_folder(tmp_path / "data", [[BOX]], split="train")
    file = data / "annotations" / "train.json"
    file.write_text(file.read_text().replace("1.png", f"1.{ending}"))
    (data / "images" / "1.png").unlink()
    stored, exif = rgb(40, 60)[:, :, 0], Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored.astype(np.uint16) * 257).save(data / "images" / f"1.{ending}", exif=exif)
    mend(check(data), tmp_path / "out")
    written = np.asarray(Image.open(tmp_path / "out" / "images" / "train" / "1.png"))
    assert np.array_equal(written, np.repeat(stored[:, :, None], 3, axis=2))


def test_one_bit_becomes_rgb(tmp_path: Path) -> None:
    data = coco_folder(tmp_path / "data", [[BOX]], split="train")
    bits = rgb()[:, :, 0] > 127
    Image.fromarray(bits).save(data / "images" / "1.png")
    checked = check(data)
    assert [each.kind for each in checked.findings if each.level == "warning"] == ["image.channels"]
    mend(checked, tmp_path / "out")
    with Image.open(tmp_path / "out" / "images" / "train" / "1.png") as image:
        assert image.mode == "RGB"
        assert np.array_equal(np.asarray(image)[:, :, 0] == 255, bits)


def test_what_only_a_person_can_decide_is_refused(tmp_path: Path) -> None:
    data = coco_folder(tmp_path / "data", [[BOX]], split="train")
    (data / "annotations" / "val.json").write_text("{")
    with pytest.raises(DatasetError, match=r"cannot be mended, since a fault needs a decision: val annotations/val"):
        mend(check(data), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_split_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    data = coco_folder(tmp_path / "data", [[BOX]], split="train")
    coco_folder(data, [[BOX]], split="val")  # the same image, which would leave train
    with pytest.raises(DatasetError, match="cannot be mended: no image of train can be used; nothing was written"):
        refuse_undecided(check(data))


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    data = coco_folder(tmp_path / "data", [[BOX, FLAT]], split="train")
    monkeypatch.setattr("faster_rcnn.data.converting.shutil.copyfile", full)
    with pytest.raises(MachineError, match="no space left"):
        mend(check(data), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("there", [False, True])
def test_a_list_of_changes_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    @contextmanager
    def full(path: Path) -> Iterator[Path]:
        assert (path.parent / "images" / "train" / "1.png").is_file()  # everything else is written before
        raise MachineError("no space left")
        yield path

    data = coco_folder(tmp_path / "data", [[BOX, FLAT]], split="train")
    if there:
        (tmp_path / "out").mkdir()
    monkeypatch.setattr(mending, "atomic_write", full)
    with pytest.raises(MachineError, match="no space left"):
        mend(check(data), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == (["data", "out"] if there else ["data"])
    assert not there or list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", [b"caf\xe9.png", b"a\nb.png"])
def test_names_that_are_no_text_are_listed(tmp_path: Path, name: bytes) -> None:
    data = coco_folder(tmp_path / "data", [[BOX, FLAT]], split="train")
    odd = os.fsdecode(name)
    (data / "images" / "1.png").rename(data / "images" / odd)
    file = data / "annotations" / "train.json"
    file.write_text(file.read_text().replace('"1.png"', json.dumps(odd)))
    mend(check(data), tmp_path / "out")
    lines = (tmp_path / "out" / CHANGES).read_text().splitlines()
    assert [line.split(": ")[0] for line in lines if line.startswith("- train")] == [
        f"- train {printable(odd)} train.json annotation id 2"
    ]
    assert [each.kind for each in check(tmp_path / "out").findings if each.level != "remark"] == []


def test_outlines_are_told_to_be_lost(tmp_path: Path) -> None:
    data = coco_folder(tmp_path / "data", [[BOX]], split="train")
    file = data / "annotations" / "train.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["segmentation"] = [[3, 4, 10, 4, 10, 20]]
    file.write_text(json.dumps(content))
    assert "outlines, keypoints and other keys are not copied" in mend(check(data), tmp_path / "out")[0]
    assert mending.CHANGES in {path.name for path in (tmp_path / "out").iterdir()}
