"""Damage that libjpeg skips is found, with the pixels of every other decoder; sound files have no damage."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from faster_rcnn.data import decoder_warnings, jpeg
from faster_rcnn.data.decode import decode_image, read_image
from faster_rcnn.errors import ImageError

LIMIT = 10**8

pytestmark = pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
"""A warning of torchvision, which ``decode_image`` ignores as well."""


def encoded(seed: int = 0, mode: str = "RGB", **options: Any) -> bytes:
    """A picture of noise in larger patches, 160 x 128 pixels, of some 10 kB."""
    noise = np.random.default_rng(seed).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).resize((160, 128), Image.Resampling.BICUBIC).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def zeroed(content: bytes, share: float = 0.5, count: int = 300) -> bytes:
    place = int(len(content) * share)
    return content[:place] + bytes(count) + content[place + count :]


def cut_inside(content: bytes, count: int = 900) -> bytes:
    """Bytes in the middle of the file are missing, and its end mark exists."""
    return content[: len(content) // 2] + content[len(content) // 2 + count :]


def damage(content: bytes) -> str | None:
    found = jpeg.decode(content)
    assert found is not None
    return found.damage


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}, {"quality": 30}, {"mode": "L"}])
def test_a_sound_file_has_no_damage(options: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    assert damage(encoded(**options)) is None
    assert damage(encoded(**options) + bytes(5000)) is None  # an appendix behind the end
    assert capfd.readouterr().err == ""


def test_flat_pictures_have_no_damage() -> None:
    """The data of a black picture repeat one short code."""
    for mode in ("RGB", "L"):
        for options in ({}, {"optimize": True}, {"quality": 100, "subsampling": 0}):
            stream = io.BytesIO()
            Image.new(mode, (2000, 2000)).save(stream, "JPEG", **options)
            assert damage(stream.getvalue()) is None


def test_warnings_of_libjpeg_are_captured(capfd: pytest.CaptureFixture[str]) -> None:
    assert "Corrupt JPEG data: " in str(damage(cut_inside(encoded())))
    assert capfd.readouterr().err == ""  # nothing raw
    assert damage(encoded(1)) is None  # and nothing of the file before


@pytest.mark.parametrize("options", [{}, {"mode": "L"}, {"quality": 95, "subsampling": 0}])
@pytest.mark.parametrize("share", [0.4, 0.6, 0.8])
def test_zeros_in_the_middle_are_found(options: dict[str, Any], share: float) -> None:
    content = zeroed(encoded(**options), share)
    assert f"zero bytes in the middle of its data, from byte {int(len(content) * share):,} on" in str(damage(content))


def test_zeros_of_a_thumbnail_or_a_profile_are_no_damage() -> None:
    profile = b"\xff\xda" + bytes(500)
    assert damage(encoded(icc_profile=profile)) is None


def test_damage_belongs_to_the_thread_that_decodes() -> None:
    """Eight threads, half of them on damaged files: each thread gets the warnings of its own file."""
    files = [encoded(seed) if seed % 2 else cut_inside(encoded(seed)) for seed in range(8)]
    found: dict[int, list[bool]] = {}

    def work(place: int) -> None:
        found[place] = [damage(files[place]) is not None for _ in range(20)]

    threads = [threading.Thread(target=work, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {place: [place % 2 == 0] * 20 for place in range(8)}


def test_pixels_are_the_same_where_warnings_cannot_be_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = jpeg.decode(encoded())
    monkeypatch.setattr(decoder_warnings, "_memory_stream", lambda: None)
    found = jpeg.decode(encoded())
    assert expected is not None
    assert found is not None
    torch.testing.assert_close(found.pixels, expected.pixels, rtol=0, atol=0)


def test_damage_is_logged_with_the_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "street.jpg"
    path.write_bytes(zeroed(encoded()))
    with caplog.at_level(logging.WARNING, "faster_rcnn"):
        read_image(path, LIMIT)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{path} may be damaged: ")
    assert record.getMessage().endswith("; it is used as it was decoded")
    path.write_bytes(encoded())
    assert decode_image(path, LIMIT).damage is None


def test_damage_of_turned_and_grey_files_is_found(tmp_path: Path) -> None:
    """Phones rotate pictures by a tag; such pictures are decoded in the same way."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for content in (encoded(exif=exif), encoded(mode="L")):
        assert decode_image(content, LIMIT).damage is None
        assert "image may be damaged" in str(decode_image(cut_inside(content), LIMIT).damage)


def test_photographs_are_sound(data_folder: Callable[[str], Path]) -> None:
    for path in sorted((data_folder("raccoon") / "images").glob("*.jpg"))[::10]:
        assert decode_image(path, LIMIT).damage is None


def test_a_jpeg_of_very_many_scans_is_not_decoded() -> None:
    content = encoded(progressive=True)
    count = jpeg.count_scans(content)
    assert 5 < count < 20
    last = content[content.rindex(b"\xff\xda") : -2]
    more = content[:-2] + last * jpeg.MAX_SCANS + content[-2:]
    with pytest.raises(ImageError, match=rf"^E105 cannot decode image: it is a JPEG of {count + 100} scans, more than"):
        decode_image(more, LIMIT)
    assert jpeg.count_scans(content + last * jpeg.MAX_SCANS) == count  # as a film behind the picture of a telephone
