"""Copies byte for byte and near copies; which of them is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from faster_rcnn.checking.duplicates import Member, duplicates
from faster_rcnn.checking.image_faults import Usable
from faster_rcnn.checking.pictures import read_picture
from faster_rcnn.data.layout.listing import ListedBox, ListedImage
from files import rgb


def photograph(seed: int, width: int = 320, height: int = 240) -> Image.Image:
    """Smooth random shapes, as a photograph has them."""
    noise = Image.fromarray(rgb(6, 8, seed)).resize((width, height), Image.Resampling.BICUBIC)
    return noise.filter(ImageFilter.GaussianBlur(2))


def member(path: Path, picture: Image.Image, split: str = "train", boxes: int = 0, quality: int = 92) -> Member:
    picture.save(path, quality=quality)
    facts = read_picture(path, 10**8)
    assert facts.size is not None
    listed = tuple(ListedBox(f"line {number}", (1, 2, 3, 4), 0) for number in range(boxes))
    return Member(split, Usable(ListedImage(path.name, path, 1, None, listed, ""), facts.size, facts, None))


def found(members: list[Member]) -> tuple[list[tuple[str, str, str]], set[int]]:
    findings, dropped = duplicates(members)
    return [(each.kind, each.file, each.value) for each in findings], dropped


def test_of_copies_in_one_split_the_one_with_more_boxes_stays(tmp_path: Path) -> None:
    one, two, three = (member(tmp_path / f"{n}.jpg", photograph(0), boxes=n) for n in (1, 3, 2))
    assert found([one, two, three]) == (
        [
            ("duplicate.within", "1.jpg", "the bytes of train 3.jpg; their numbers of boxes differ"),
            ("duplicate.within", "2.jpg", "the bytes of train 3.jpg; their numbers of boxes differ"),
        ],
        {0, 2},
    )


def test_of_two_splits_the_earlier_one_loses_the_image(tmp_path: Path) -> None:
    train = member(tmp_path / "a.jpg", photograph(0))
    val = member(tmp_path / "b.jpg", photograph(0), "val")
    test = member(tmp_path / "c.jpg", photograph(0), "test")
    findings, dropped = found([train, val, test])
    assert [each[:2] for each in findings] == [("duplicate.across", "a.jpg"), ("duplicate.across", "b.jpg")]
    assert dropped == {0, 1}


def test_near_copies_are_those_of_other_quality_size_and_brightness(tmp_path: Path) -> None:
    original = photograph(1)
    members = [
        member(tmp_path / "a.jpg", original),
        member(tmp_path / "b.jpg", original, quality=40),
        member(tmp_path / "c.jpg", original.resize((160, 120))),
        member(tmp_path / "d.jpg", original.point(lambda value: value * 0.8 + 20)),
        *(member(tmp_path / f"{seed}.jpg", photograph(seed)) for seed in range(2, 30)),
    ]
    findings, dropped = found(members)
    assert findings == [("duplicate.near", name, "nearly equals train a.jpg") for name in ("b.jpg", "c.jpg", "d.jpg")]
    assert dropped == set()


def test_a_near_copy_of_a_validation_image_leaves_train(tmp_path: Path) -> None:
    train, val = member(tmp_path / "a.jpg", photograph(1), quality=50), member(tmp_path / "b.jpg", photograph(1), "val")
    assert found([train, val]) == ([("duplicate.near-across", "a.jpg", "nearly equals val b.jpg")], {0})


def test_pixels_refuse_what_the_hash_takes_for_a_copy(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, 240), (180, 1))
    step = np.where(ramp < 200, ramp / 20, ramp)  # rises from left to right as well, so the hash is the same
    members = [
        member(tmp_path / f"{name}.png", Image.fromarray(values.astype(np.uint8)).convert("RGB"))
        for name, values in (("ramp", ramp), ("step", step))
    ]
    assert (members[0].one.picture.hash ^ members[1].one.picture.hash).bit_count() <= 6
    assert found(members) == ([], set())


def test_flat_images_are_copies_where_their_grey_is_the_same(tmp_path: Path) -> None:
    flat = [Image.new("RGB", (200 + n, 150), (grey,) * 3) for n, grey in enumerate((0, 0, 90))]
    members = [member(tmp_path / f"{n}.png", picture) for n, picture in enumerate(flat)]
    assert [each[1] for each in found(members)[0]] == ["1.png"]
    assert found([]) == ([], set())
