"""The file system is that of this machine, by its address file://; buckets have the same functions."""

from __future__ import annotations

import pickle
import time
from pathlib import Path

import pytest
from pyarrow import fs

from faster_rcnn.errors import ImageError, MachineError, OptionError
from faster_rcnn.serving import remote_files
from faster_rcnn.serving.remote_files import ImageReader, RemoteFolder, find_remote, is_remote
from files import image_file


@pytest.fixture
def photos(tmp_path: Path) -> str:
    """The address of a folder with two images in it and two below."""
    for name in ("b.png", "a 1.jpg", "2024/c.png", "2024/may/d.png"):
        image_file(tmp_path / "my photos" / name)
    (tmp_path / "my photos" / "notes.txt").write_text("no image")
    (tmp_path / "my photos" / ".hidden.png").write_text("no image")
    return f"file://{tmp_path}/my photos"


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("", ["a 1.jpg", "b.png"]),
        ("/", ["a 1.jpg", "b.png"]),
        ("/*.png", ["b.png"]),
        ("/**/*.png", ["2024/c.png", "2024/may/d.png", "b.png"]),
        ("/2024/*/*", ["2024/may/d.png"]),
        ("/20*/[a-c].png", ["2024/c.png"]),
    ],
)
def test_a_folder_or_a_pattern_gives_its_images(photos: str, pattern: str, names: list[str]) -> None:
    found = find_remote(photos + pattern)
    assert list(found.names) == [f"{photos}/{name}" for name in names]
    for content in ImageReader([found.folder]).read_all(found.names):
        assert isinstance(content, bytes)
        assert content[:4] in (b"\x89PNG", b"\xff\xd8\xff\xe0")


def test_a_single_file(photos: str) -> None:
    found = find_remote(f"{photos}/2024/c.png")
    assert found.names == (f"{photos}/2024/c.png",)
    assert isinstance(ImageReader([found.folder]).read(found.names[0]), bytes)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/nothing", r"no images match '.*/nothing' \(there is no such file\)"),
        ("/*.tif", r"no images match '.*/\*.tif' \(it holds "),
    ],
)
def test_a_source_without_images_is_refused(photos: str, source: str, message: str) -> None:
    with pytest.raises(OptionError, match=f"^E122 {message}"):
        find_remote(photos + source)


def test_an_unknown_kind_of_address_is_refused() -> None:
    with pytest.raises(
        OptionError, match=r"^E122 no images match 'ftp://x/y' \(addresses are read that begin with s3,"
    ):
        find_remote("ftp://x/y")


def test_an_unreachable_bucket_is_a_fault_of_the_machine() -> None:
    """Nothing listens at port 9 of this machine; Amazon's client tries three times within some seconds."""
    source = "s3://key:secret@bucket/photos?region=eu-west-1&scheme=http&endpoint_override=127.0.0.1:9"
    with pytest.raises(MachineError, match=r"^s3://bucket/photos cannot be read: .*; nothing was predicted") as raised:
        find_remote(source)
    assert "secret" not in str(raised.value)


def test_a_bucket_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_files, "SECONDS_FOR_AN_ANSWER", 0.05)
    monkeypatch.setattr(remote_files, "_opened", lambda uri: time.sleep(5))
    with pytest.raises(MachineError, match=r"^gs://bucket/photos does not answer within 0.05 s; nothing was predicted"):
        find_remote("gs://bucket/photos")


def test_a_file_that_is_gone_is_an_error_of_its_own(photos: str, tmp_path: Path) -> None:
    found = find_remote(photos)
    (tmp_path / "my photos" / "b.png").unlink()
    first, second = ImageReader([found.folder]).read_all(found.names)
    assert isinstance(first, bytes)
    assert isinstance(second, ImageError)
    assert str(second).startswith(f"E104 cannot read {photos}/b.png: ")


def test_files_of_this_machine_are_given_by_their_paths(photos: str, tmp_path: Path) -> None:
    reader = ImageReader([find_remote(photos).folder])
    assert list(reader.read_all(["a.jpg", "b.jpg"])) == [Path("a.jpg"), Path("b.jpg")]
    assert reader.read("a.jpg") == Path("a.jpg")


def test_a_reader_travels_with_its_addresses_alone(photos: str) -> None:
    found = find_remote(photos)
    reader = ImageReader([found.folder])
    assert isinstance(reader.read(found.names[0]), bytes)
    copied = pickle.loads(pickle.dumps(reader))
    assert copied.folders == [found.folder]
    assert copied.read(found.names[0]) == reader.read(found.names[0])


def test_names_hold_neither_passwords_nor_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image_file(tmp_path / "bucket" / "a.png")
    opened: list[str] = []

    def open_locally(uri: str) -> tuple[fs.FileSystem, str, fs.FileInfo]:
        opened.append(uri)
        system, path = fs.LocalFileSystem(), f"{tmp_path}/bucket"
        return system, path, system.get_file_info(path)

    monkeypatch.setattr(remote_files, "_opened", open_locally)
    found = find_remote("s3://key:secret@bucket/?region=eu-west-1")
    assert opened[0] == "s3://key:secret@bucket/?region=eu-west-1"
    assert found.names == ("s3://bucket/a.png",)
    assert found.folder == RemoteFolder(opened[0], "s3://bucket", f"{tmp_path}/bucket")
    assert found.folder.path_of("s3://bucket/a.png") == f"{tmp_path}/bucket/a.png"


def test_addresses_are_told_from_paths() -> None:
    assert [is_remote(each) for each in ("s3://a", "photos", "a:b", "/x://y", "file:///x")] == [
        True, False, False, False, True,
    ]  # fmt: skip
