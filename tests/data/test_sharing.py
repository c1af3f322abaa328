"""The validation share of the training images is reproducible; images in two splits are found by their bytes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from faster_rcnn.data.layout.listing import ListedImage, Listing
from faster_rcnn.data.sharing import share_out, shared_images
from faster_rcnn.errors import DatasetError
from files import image_file


def listing(count: int) -> Listing:
    images = tuple(ListedImage(f"{n}.jpg", Path(f"{n}.jpg"), n, None, (), "train.json") for n in range(count))
    return Listing("COCO JSON", "train", Path("train.json"), images, "xywh", ((1, "a"),), notes=("a note",))


def names(part: Listing) -> list[str]:
    return [image.file_name for image in part.images]


def test_a_share_is_taken_out_of_train() -> None:
    train, val = share_out(listing(10), 0.2, 3)
    assert (train.split, len(train.images), val.split, len(val.images)) == ("train", 8, "val", 2)
    assert sorted(names(train) + names(val), key=lambda name: int(name[:-4])) == names(listing(10))
    assert train.notes == ("a note",)
    assert val.notes == ("2 of 10 training images are the validation split (data.val_share=0.2, chosen by seed 3)",)


def test_the_share_is_a_function_of_seed_and_names() -> None:
    chosen = [set(names(share_out(listing(100), 0.2, seed)[1])) for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]
    # One more image: 20 of 101 are chosen, too, and it can take the place of one other at most.
    assert len(chosen[0] - set(names(share_out(listing(101), 0.2, 0)[1]))) <= 1


def test_names_that_no_file_can_have_are_shared_out_and_are_no_other_files(tmp_path: Path) -> None:
    whole = listing(4)
    odd = replace(whole, images=(*whole.images, *(one._replace(file_name="a\ud800b") for one in whole.images[:1])))
    assert len(share_out(odd, 0.4, 0)[1].images) == 2
    train = [image_file(tmp_path / "a.png")]
    assert shared_images({"train": train, "val": [tmp_path / "a\ud800b", tmp_path / "a\0b"]}) == []


@pytest.mark.parametrize(("count", "share"), [(1, 0.5), (2, 0.2), (3, 0.9)])  # 0.5 rounds to 0, 0.4 to 0, 2.7 to 3
def test_neither_side_is_empty(count: int, share: float) -> None:
    with pytest.raises(DatasetError, match=rf"E115 data\.val_share={share:g} of {count} training images is \d"):
        share_out(listing(count), share, 0)


def test_images_of_two_splits_are_found_by_their_bytes(tmp_path: Path) -> None:
    train = [image_file(tmp_path / "train" / f"{n}.bmp", seed=n) for n in range(4)]  # BMP: all are of one size
    copies = [Path(shutil.copy(train[n], tmp_path / f"copy{n}.bmp")) for n in (2, 0)]
    other = image_file(tmp_path / "other.bmp", seed=9)
    almost = Path(shutil.copy(train[1], tmp_path / "almost.bmp"))
    content = bytearray(almost.read_bytes())
    content[-1] ^= 1  # outside of the bytes in the middle that are compared first
    almost.write_bytes(content)
    gone = tmp_path / "gone.bmp"
    assert shared_images({"train": train, "val": [*copies, other, almost, gone]}) == [
        "2 of 5 images of val are in train, too: copy2.bmp, copy0.bmp; AP of val does not measure new images while "
        "they are"
    ]
    assert shared_images({"train": train, "val": [other], "test": [almost]}) == []


def test_the_same_folder_is_two_splits(tmp_path: Path) -> None:
    train = [image_file(tmp_path / f"{n}.png", seed=n) for n in range(2)]
    (warning,) = shared_images({"train": train, "val": train})
    assert warning.startswith("2 of 2 images of val are in train, too: 0.png, 1.png")
    (warning,) = shared_images({"train": train[:1], "test": [image_file(tmp_path / "x.png", seed=0)]})
    assert warning.startswith("1 of 1 images of test are in train, too: x.png")
