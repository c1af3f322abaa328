"""The picture of an XML: by the name of the XML or by its <filename>, in the root or in a folder of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.data.formats.voc_pictures import Pictures
from faster_rcnn.data.layout.folders import Folders


def pictures(root: Path, *names: str) -> Pictures:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return Pictures([root], ["a"], Folders())


@pytest.mark.parametrize(
    ("there", "stem", "stated", "found"),
    [
        (["a.jpg"], "a", ["stale.png"], "a.jpg"),
        (["a.jpg", "a.png"], "a", ["a.png"], "a.png"),
        (["a.jpg", "a.png"], "a", ["a.jpg", "a.png"], "a.jpg"),
        (["b.jpg"], "a", ["b.jpg"], "b.jpg"),
        (["one/a.jpg", "two/a.jpg"], "two/a", [], "two/a.jpg"),
        (["deep/er/a.jpg"], "a", [], "deep/er/a.jpg"),
        ([], "a", ["a.bmp"], "a.bmp"),
        ([], "a", [], "a.jpg"),
    ],
)
def test_the_picture_that_is_meant(tmp_path: Path, there: list[str], stem: str, stated: list[str], found: str) -> None:
    picture = pictures(tmp_path, *there).of(stem, *stated)
    assert (picture.path, picture.name, picture.fault) == (tmp_path / found, found, None)


@pytest.mark.parametrize("there", [["a.jpg", "a.png"], ["one/a.jpg", "two/a.jpg"]])
@pytest.mark.parametrize(
    ("stated", "why"), [([], "it has no <filename>"), (["g"], "its <filename> 'g' is none of them")]
)
def test_several_pictures_without_a_named_one(tmp_path: Path, there: list[str], stated: list[str], why: str) -> None:
    fault = pictures(tmp_path, *there).of("a", *stated).fault
    assert fault is not None
    assert str(fault).startswith(f"E104 a.xml may be for any of {', '.join(there)}: {why}")


def test_another_picture_must_exist(tmp_path: Path) -> None:
    found = pictures(tmp_path, "xa.jpg", "a.jpg")
    mine = found.of("xa")
    assert [found.another(mine, name) for name in ("a.jpg", "xa.jpg", "gone.jpg", "")] == ["a.jpg", "", "", ""]
