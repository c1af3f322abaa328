from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.inference.sources import images_of, survey


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a folder of photos in it; their content does not matter here."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    for name in ("b.jpg", "a.PNG", "notes.txt", "c[1].jpg", ".hidden.jpg", "old/d.jpg", "old/older/e.tif"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def names(*sources: str) -> list[str]:
    return [path.as_posix() for path in images_of(sources)]


def test_a_folder_gives_its_own_images_sorted(photos: Path) -> None:
    assert names("photos") == ["photos/a.PNG", "photos/b.jpg", "photos/c[1].jpg"]


def test_patterns_reach_into_folders(photos: Path) -> None:
    assert names("photos/*.jpg") == ["photos/b.jpg", "photos/c[1].jpg"]
    assert names("photos/**/*.*") == [
        *("photos/a.PNG", "photos/b.jpg", "photos/c[1].jpg"),
        *("photos/old/d.jpg", "photos/old/older/e.tif"),
    ]


def test_a_named_file_is_taken_whatever_it_is(photos: Path) -> None:
    assert names("photos/notes.txt", "photos/c[1].jpg") == ["photos/notes.txt", "photos/c[1].jpg"]


def test_sources_keep_their_order_and_count_once(photos: Path) -> None:
    assert names("photos/old", "photos/b.jpg", "photos/old") == ["photos/old/d.jpg", "photos/b.jpg"]


def test_the_survey_counts_and_knows_the_folders(photos: Path) -> None:
    found = survey(["photos", "photos/**/*.*", "photos/b.jpg"])
    assert (found.images, found.unmatched) == (3 + 5 + 1, ())
    assert found.folders == {photos, photos / "old", photos / "old" / "older"}


def test_names_are_read_as_results_are_taken(photos: Path) -> None:
    images = images_of(["photos/old", "photos"])
    assert next(images) == Path("photos/old/d.jpg")
    (photos / "z.jpg").touch()  # the second source has not been listed yet
    assert list(images)[-1] == Path("photos/z.jpg")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("photos/B.jpg", "no images match 'photos/B.jpg' (a file 'b.jpg' exists: letter case?)"),
        ("photos/b.png", "no images match 'photos/b.png' (a file 'b.jpg' exists: another ending)"),
        ("photos/notse.txt", "no images match 'photos/notse.txt' (there is no such file). Nearby: notes.txt"),
        ("photo", "no images match 'photo' (there is no such file). Nearby: photos"),
        ("photso/*.jpg", "no images match 'photso/*.jpg' (there is no folder 'photso'). Nearby: photos"),
        ("nested/i*/*.tif", "no images match 'nested/i*/*.tif' (the folder 'nested' holds 1 folder, whose images "
            "'nested/**/*' would take)"),
        ("texts", "no images match 'texts' (the folder holds 2 .txt files, 1 file without an ending)"),
        ("empty", "no images match 'empty' (the folder holds nothing)"),
        ("", "no images match '' (there is no such file)"),
        (
            "nested",
            "no images match 'nested' (the folder holds 1 folder, whose images 'nested/**/*' would take)",
        ),
    ],
)  # fmt: skip
def test_a_source_without_images_says_what_is_there(photos: Path, source: str, message: str) -> None:
    for name in ("texts/a.txt", "texts/b.txt", "texts/README", "nested/inner/a.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    Path("empty").mkdir()
    found = survey([source, "photos/b.jpg"])
    assert (found.images, found.unmatched) == (1, (message,))
    assert names(source) == []
