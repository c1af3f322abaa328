"""The image that a name in a results file means: the one with the longest common end, found in short time."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.evaluation.matching import NamedImage, positions_of
from faster_rcnn.structures import ImageSize

SIZE = ImageSize(4, 4)


def test_the_longest_common_end_decides(tmp_path: Path) -> None:
    images = [NamedImage(n, tmp_path / end, SIZE) for n, end in enumerate(("a/rgb/0.jpg", "b/rgb/0.jpg", "c/1.jpg"))]
    names = ["/else/b/rgb/0.jpg", "a\\rgb\\0.jpg", "1.jpg", "/x/1.jpg", "2.jpg", "jpg", ""]
    assert positions_of(names, images) == [1, 0, 2, 2, None, None, None]


def test_many_images_of_the_same_file_name(tmp_path: Path) -> None:
    # Compared one by one, these would be 16 million pairs of paths, which takes minutes.
    images = [NamedImage(number, tmp_path / str(number) / "rgb" / "0.jpg", SIZE) for number in range(4000)]
    names = [f"/elsewhere/{number}/rgb/0.jpg" for number in range(4000)]
    assert positions_of(names, images) == list(range(4000))


def test_an_impossible_path_matches_no_image(tmp_path: Path) -> None:
    accents = "a" + "\u0301\u0323" * 200_000  # whose order costs the square of their number
    assert positions_of([accents, "a\0b", "\ud800"], [NamedImage(1, tmp_path / "a.jpg", SIZE)]) == [None] * 3
