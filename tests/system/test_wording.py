from __future__ import annotations

from faster_rcnn.system.wording import count_of


def test_only_one_is_singular() -> None:
    assert [count_of(number, "image") for number in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert [count_of(number, "class", "classes") for number in (0, 1, 2)] == ["0 classes", "1 class", "2 classes"]
