"""Files that cannot be decoded raise an error with the file's name; nothing waits, and no memory is exhausted."""

from __future__ import annotations

import io
import os
import pickle
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faster_rcnn.data.decode import decode_image, image_header
from faster_rcnn.data.opening import LONGEST_SIDE, NamedBytes, opened, source_name
from faster_rcnn.errors import ImageError

LIMIT = 178_956_970


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG: length, kind, content, and the checksum of kind and content."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *extra: bytes, data: bytes = b"") -> bytes:
    """A grey PNG; its rows are ``data``."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    parts = (b"\x89PNG\r\n\x1a\n", header, *extra, chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b""))
    return b"".join(parts)


def encoded(kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, kind, **options)
    return stream.getvalue()


def fault(source: Path | bytes) -> str:
    with pytest.raises(ImageError) as one:
        decode_image(source, LIMIT)
    return str(one.value)


def test_pipes_sockets_devices_folders_and_links_to_nothing_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.png"))
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to("nothing.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    reported = {
        "pipe.png": "E104 cannot read {}: it is a named pipe, not a file; save its content in a file",
        "socket.png": "E104 cannot read {}: it is a socket, not a file; save its content in a file",
        "device.png": "E104 cannot read {}: it is a device, not a file; save its content in a file",
        "folder.png": "E104 cannot read {}: Is a directory",
        "link.png": "E104 {} is a link to a file that does not exist",
        "nothing.png": "E104 {} does not exist",
    }
    for name, line in reported.items():
        assert fault(tmp_path / name) == line.format(tmp_path / name)


def test_a_pointer_of_git_lfs_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    for source in (path, path.read_bytes()):
        assert "it is a pointer of Git LFS, not the file itself; fetch that where it was cloned: git lfs pull" in fault(
            source
        )


def test_a_side_in_which_float32_does_not_count_pixels_is_refused_before_decoding() -> None:
    assert fault(png(10**8, 1)).startswith(
        "E120 image has 100000000x1 pixels; boxes are exact in images of up to 16,777,216"
    )
    assert fault(png(1, LONGEST_SIDE + 1)).startswith("E120 image has 1x16777217 pixels; ")
    assert image_header(png(1, LONGEST_SIDE), LIMIT).size.height == LONGEST_SIDE


def test_an_icon_that_holds_a_larger_image_than_it_says_is_not_decoded() -> None:
    inside = png(30_000, 30_000)
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inside), 22)
    icon = struct.pack("<HHH", 0, 1, 1) + entry + inside
    line = "E120 image holds an image of more pixels than the limit of 178,956,970; if it is genuine, raise it: "
    assert fault(icon) == f"{line}--set data.max_pixels=N"
    block = struct.pack(">4sI", b"ic07", 8 + len(inside)) + inside
    assert fault(struct.pack(">4sI", b"icns", 8 + len(block)) + block).startswith(line)


def test_text_that_becomes_large_is_not_read() -> None:
    bomb = zlib.compress(bytes(50_000_000), 9)
    rows = bytes(2)
    for kind, head in ((b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")):
        assert fault(png(1, 1, chunk(kind, head + bomb), data=rows)).startswith("E105 cannot decode image: ")


def test_formats_that_pillow_leaves_to_other_programs_are_not_read() -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    assert fault(eps) == "E105 cannot decode image: EPS is not read; save it as JPEG or PNG"


@pytest.mark.parametrize("error", [RuntimeError("no frame"), NotImplementedError("no frame"), OSError("no frame")])
def test_whatever_a_decoder_raises_becomes_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(image: Image.Image) -> None:
        raise error

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    assert fault(encoded("BMP")) == "E105 cannot decode image: no frame"


def test_memory_that_lacks_is_no_damage() -> None:
    for error in (MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")):
        with pytest.raises(type(error)), opened(encoded("BMP"), LIMIT):
            raise error


def test_warnings_of_libtiff_get_the_name_of_the_file_and_are_not_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.tif"
    bits = np.random.default_rng(0).integers(0, 2, (24, 32), dtype=np.uint8) * 255
    Image.fromarray(bits).convert("1").save(path, compression="group4")
    content = bytearray(path.read_bytes())
    content[12:20] = b"\xff" * 8  # pixels, which stand before the tags
    path.write_bytes(content)
    reported = decode_image(path, LIMIT).damage
    assert str(reported).startswith(f"{path} may be damaged: Fax4Decode: Bad code word at line ")
    assert capfd.readouterr().err == ""


def test_bytes_with_a_name_are_named_in_messages() -> None:
    with (
        pytest.raises(ImageError, match=r"^E105 cannot decode s3://photos/a.jpg: it is not an image"),
        opened(NamedBytes(b"text", "s3://photos/a.jpg"), LIMIT),
    ):
        pass
    copied = pickle.loads(pickle.dumps(NamedBytes(b"text", "a.jpg")))
    assert (copied, copied.name, source_name(copied)) == (b"text", "a.jpg", "a.jpg")
    assert source_name(b"text") == "image"
    assert source_name(Path("a.jpg")) == "a.jpg"
