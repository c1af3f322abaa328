"""Pictures of a data set that are not used are counted and named."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.data.layout.folders import Folders
from faster_rcnn.data.layout.listing import ListedImage, Listing
from faster_rcnn.data.unused import outside_pictures, unused_pictures


def listing(paths: list[Path]) -> Listing:
    images = tuple(ListedImage(path.name, path, n, None, (), "x") for n, path in enumerate(paths))
    return Listing("COCO JSON", "train", Path("x.json"), images, "xywh")


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_pictures_that_nothing_mentions_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg", "images/b.jpg", "images/._b.jpg", "images/more/c.AVIF", "images/notes.txt")
    touch(tmp_path, ".cache/d.jpg", "e.png")
    used = [listing([tmp_path / "images" / "a.jpg"])]
    assert unused_pictures(tmp_path, True, used, Folders()) == [
        "pictures that no annotation mentions, not used: 3 (e.png, images/b.jpg, images/more/c.AVIF)"
    ]
    # Where a file is the data set, its folder may be anybody's: only the folders of the images are gone through.
    assert unused_pictures(tmp_path, False, used, Folders()) == [
        "pictures that no annotation mentions, not used: 1 (images/b.jpg)"
    ]


def test_pictures_of_kinds_that_are_not_read_are_named(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{n}.HEIC" for n in range(6)), "images/x.nef", "images/a.jpg")
    assert unused_pictures(tmp_path, True, [listing([tmp_path / "images" / "a.jpg"])], Folders()) == [
        "pictures of kinds that are not read, not used: 6 .heic, 1 .nef (images/0.HEIC, images/1.HEIC, images/2.HEIC, "
        "images/3.HEIC, images/4.HEIC and 2 more); convert them to JPEG or PNG"
    ]


def test_paths_of_other_spellings_are_the_same(tmp_path: Path) -> None:
    touch(tmp_path, "data/images/a.jpg", "data/images/b.jpg")
    used = [tmp_path / "data" / ".." / "data" / "images" / "a.jpg", tmp_path / "data" / "images" / "b.jpg"]
    assert unused_pictures(tmp_path / "data", True, [listing([path]) for path in used], Folders()) == []


def test_pictures_outside_of_the_data_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, "data/images/a.jpg", "data/Annotations/x.xml", "else/b.jpg", "data2/c.jpg")
    data = tmp_path / "data"
    paths = [data / "images" / "a.jpg", data / ".." / "else" / "b.jpg", tmp_path / "data2" / "c.jpg", data / "../d.jpg"]
    assert outside_pictures(data, listing(paths), Folders()) == [
        f"pictures of train that lie outside of {data}: 2 ({tmp_path}/else/b.jpg, {tmp_path}/data2/c.jpg)"
    ]
    assert outside_pictures(data, listing(paths[:1]), Folders()) == []
    # Around a folder of annotations is the data set.
    assert outside_pictures(data / "Annotations", listing(paths[:1]), Folders()) == []
    assert outside_pictures(Path("/"), listing(paths), Folders()) == []
