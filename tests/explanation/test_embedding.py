from __future__ import annotations

import base64
import json
from io import BytesIO

import pytest
from PIL import Image, ImageDraw

from explained_images import noise_picture
from faster_rcnn.explanation.embedding import QUALITIES, data_urls, json_for_script


def picture_in(url: str) -> Image.Image:
    """The picture that a data URL holds."""
    return Image.open(BytesIO(base64.b64decode(url.partition(",")[2])))


def drawing() -> Image.Image:
    picture = Image.new("RGB", (200, 100), "white")
    ImageDraw.Draw(picture).rectangle((10, 10, 60, 60), outline="red", width=3)
    return picture


def test_a_drawing_of_few_colours_is_embedded_without_loss_and_a_photograph_as_jpeg() -> None:
    plain, photo = data_urls([drawing(), noise_picture(80, 60)])
    assert plain.startswith("data:image/png;base64,")
    assert picture_in(plain).convert("RGB").tobytes() == drawing().tobytes()
    assert photo.startswith("data:image/jpeg;base64,")
    assert picture_in(photo).size == (80, 60)


def test_pictures_that_are_too_large_lose_quality_and_then_pixels() -> None:
    pictures = [noise_picture(300, 200, seed) for seed in range(3)]
    [usual, less, least] = [data_urls(pictures, limit) for limit in (10_000_000, 120_000, 1)]
    assert sum(map(len, usual)) > sum(map(len, less)) > sum(map(len, least))
    assert sum(map(len, less)) <= 120_000
    assert picture_in(least[0]).size == (300 * QUALITIES[-1][1], 200 * QUALITIES[-1][1])


@pytest.mark.parametrize("limit", [1, 10_000_000])
def test_no_pictures_need_no_space(limit: int) -> None:
    assert data_urls([], limit) == []


def test_data_cannot_end_its_script() -> None:
    written = json_for_script({"name": "</script><!-- & \u2028"})
    assert not set(written) & set("<>&\u2028")
    assert json.loads(written) == {"name": "</script><!-- & \u2028"}
