from __future__ import annotations

import errno
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from faster_rcnn.errors import OptionError
from faster_rcnn.inference import sources
from faster_rcnn.inference.sources import find_images, is_pipe, require_files, require_images
from faster_rcnn.system.files import read_pipe


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a folder of photos, whose content does not matter here."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    for name in ("b.jpg", "a.PNG", "notes.txt", "c[1].jpg", ".hidden.jpg", "old/d.jpg", "old/older/e.tif"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def names(*sources: str) -> list[str]:
    return [Path(name).as_posix() for name in find_images(sources).names]


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


def test_an_image_is_one_however_it_is_named(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    Path("way").symlink_to("old")
    absolute = str(photos / "b.jpg")
    found = find_images(["./b.jpg", "b.jpg", "../photos/b.jpg", "old/../b.jpg", absolute, "b.*", "way/d.jpg", "old"])
    assert found.names == ("./b.jpg", "way/d.jpg")
    assert found.repeats == 4 + 1 + 1
    assert find_images(["b.jpg", "b.jpg", ".", "."]).repeats == 1 + 1 + 3


def test_links_to_an_image_are_images_of_their_own(photos: Path) -> None:
    (photos / "old" / "z.jpg").symlink_to("../b.jpg")
    found = find_images(["photos/b.jpg", "photos/old"])
    assert found.names == ("photos/b.jpg", "photos/old/d.jpg", "photos/old/z.jpg")
    assert found.repeats == 0


def test_pictures_of_formats_that_cannot_be_read_are_reported(photos: Path) -> None:
    for name in ("1.heic", "2.HEIC", "3.cr2", ".hidden.heic"):
        (photos / name).touch()
    message = "photos: 1 .heic file, 1 .HEIC file, 1 .cr2 file cannot be read, such as 1.heic, 2.HEIC, 3.cr2; save as"
    for given in (["photos"], ["photos", "photos"]):
        assert [line.startswith(message) for line in find_images(given).unused] == [True]
    [line] = find_images(["photos/*.[jJhH]*"]).unused
    assert line.startswith("photos/*.[jJhH]*: 1 .heic file, 1 .HEIC file cannot be read")


def test_files_and_folders_beside_the_images_of_a_folder_are_reported(photos: Path) -> None:
    (photos / "empty").mkdir()
    (photos / ".git").mkdir()
    (photos / ".git" / "logo.png").touch()
    [folders, others] = find_images(["photos"]).notes
    assert folders == "photos: 1 folder with images not entered (old); 'photos/**/*' takes all images"
    assert others == "photos: 1 .txt file left out, such as notes.txt: not named like an image"
    assert len(names("photos/**/*")) == 5
    assert find_images(["photos/*.jpg", "photos/b.jpg"]).notes == ()


def test_the_suggested_pattern_works_for_any_folder(photos: Path) -> None:
    """The suggested pattern escapes brackets in the name of a folder."""
    Path("shots [2024]/more").mkdir(parents=True)
    for name in ("a.jpg", "more/b.jpg"):
        (Path("shots [2024]") / name).touch()
    [note] = find_images(["shots [2024]"]).notes
    pattern = note.partition("'")[2].partition("'")[0]
    assert names(pattern) == ["shots [2024]/a.jpg", "shots [2024]/more/b.jpg"]


@pytest.mark.parametrize("url", ["http://x.org/y.jpg", "https://x.org/y.jpg?size=large", "s3://bucket/*.jpg"])
def test_a_url_is_refused_as_it_was_given(photos: Path, url: str) -> None:
    [line] = find_images([url]).unused
    assert line == (
        f"no images match '{url}' (URLs are not fetched; download it first, or pipe it in and give - as the source)"
    )


def piped(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(content)))


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0\0image", b"P3\n1 1\n255\n0 0 0\n", b"\x89PNG"])
def test_bytes_on_standard_input_are_one_image(photos: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, content + b"\0" * content.startswith(b"\x89"))
    found = find_images(["photos/b.jpg", "-", "/dev/stdin"])
    assert (found.names, found.repeats) == (("photos/b.jpg", "-"), 1)
    first, second = found.images()
    assert first == Path("photos/b.jpg")
    assert isinstance(second, bytes)
    assert second.startswith(content)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_text_on_standard_input_is_a_list_of_sources(photos: Path, end: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    name = os.fsdecode(b"caf\xe9 1.jpg")  # no UTF-8
    (photos / name).touch()
    piped(monkeypatch, end.join([b"photos/old", b"", b"photos/caf\xe9 1.jpg", b"photos/b.jpg", b"gone.jpg", b""]))
    found = find_images(["photos/b.jpg", "-"])
    assert found.names == ("photos/b.jpg", "photos/old/d.jpg", f"photos/{name}")
    assert found.repeats == 1
    assert found.unused == ("no images match 'gone.jpg' (there is no such file)",)
    assert [isinstance(each, Path) for each in found.images()] == [True] * 3


def test_text_that_names_no_image_is_one_line(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"<!DOCTYPE html>\n<html>\n<body>\n<p>404\n")
    with pytest.raises(OptionError) as raised:
        require_images(["-"], "predicted")
    assert str(raised.value) == (
        "E122 standard input is no image, and none of its lines names one: <!DOCTYPE html>, <html>, <body> and 1 "
        "more; pipe in the bytes of one image, or paths, one a line"
    )


def test_an_empty_standard_input_is_refused(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"\n")
    with pytest.raises(
        OptionError, match=r"^E122 the source - is an image or paths on standard input, which is empty$"
    ):
        find_images(["-"])
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    with pytest.raises(OptionError, match=r"^E122 the source - is .* standard input, where nothing is piped in$"):
        find_images(["-"])


def test_pipes_give_bytes(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"\xff\xd8\0")
    os.mkfifo(photos / "pipe")
    found = find_images(["photos/pipe", "-", "-"])
    assert found.names == ("photos/pipe", "-")
    assert found.repeats == 1
    assert [is_pipe(name) for name in (*found.names, "photos", "photos/b.jpg", "absent")] == [True, True, *[False] * 3]
    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit((photos / "pipe").write_bytes, b"image")
        assert next(found.images()) == b"image"
        assert writer.result(timeout=30) == 5


def test_a_pipe_that_nothing_writes_to_does_not_block(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(photos / "pipe.png")
    monkeypatch.setattr(sources, "read_pipe", lambda path: read_pipe(path, seconds=0.05))
    assert list(find_images(["photos/pipe.png"]).images()) == [Path("photos/pipe.png")]


def test_pipes_among_the_images_are_reported_and_never_opened(photos: Path) -> None:
    os.mkfifo(photos / "pipe.png")
    for source in ("photos", "photos/*"):
        found = find_images([source])
        assert not [name for name in found.names if "pipe" in name]
        line = f"{source}: pipes, sockets and devices are no files: photos/pipe.png; save their content"
        assert line in found.unused


def test_a_folder_that_cannot_be_read_is_reported(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", folder)

    monkeypatch.setattr(os, "scandir", refuse)
    [line] = find_images(["photos", "photos/b.jpg"]).unused
    assert line == "no images match 'photos' (the folder cannot be read: Permission denied)"


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
        ("texts", "no images match 'texts' (the folder holds 2 .txt files, 1 extensionless file)"),
        ("empty", "no images match 'empty' (the folder holds nothing)"),
        ("", "no images match '' (there is no such file)"),
        (
            "nested",
            "no images match 'nested' (the folder holds 1 folder, whose images 'nested/**/*' would take)",
        ),
    ],
)  # fmt: skip
def test_the_message_about_a_source_without_images_describes_its_content(
    photos: Path, source: str, message: str
) -> None:
    for name in ("texts/a.txt", "texts/b.txt", "texts/README", "nested/inner/a.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    Path("empty").mkdir()
    found = find_images([source, "photos/b.jpg"])
    assert (found.names, found.unused) == (("photos/b.jpg",), (message,))
    assert names(source) == []


def test_files_that_are_read_again_and_again_are_no_pipes(photos: Path) -> None:
    assert require_files(["photos"], "timed") == [Path("photos/a.PNG"), Path("photos/b.jpg"), Path("photos/c[1].jpg")]
    os.mkfifo("pipe")
    with pytest.raises(OptionError, match=r"--images pipe can be read only once"):
        require_files(["photos", "pipe"], "timed")
