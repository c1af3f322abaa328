"""What a page carries inside itself: pictures as data URLs that share a limit of bytes, data, and its script."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from io import BytesIO
from typing import Any

from markupsafe import Markup
from PIL import Image

QUALITIES = ((88, 1.0), (75, 1.0), (60, 0.8), (45, 0.65), (35, 0.5))
"""JPEG qualities with the scale of the picture, tried in this order until the pictures are small enough."""
MAX_BYTES = 3_400_000
"""The most bytes of the pictures of a page, as text in data URLs: the page stays under 5 MB."""


def data_urls(pictures: Sequence[Image.Image], max_bytes: int = MAX_BYTES) -> list[str]:
    """Each picture as a data URL, together at most about ``max_bytes`` long: a PNG where that is smaller, else a JPEG.

    Where they would be longer, all pictures get a lower quality and at last fewer pixels.
    """
    urls: list[str] = []
    for quality, scale in QUALITIES:
        urls = [_data_url(picture, quality, scale) for picture in pictures]
        if sum(map(len, urls)) <= max_bytes:
            break
    return urls


def json_for_script(value: Any) -> Markup:
    """JSON that cannot end the ``<script>`` element around it: ASCII, and without any sign of markup."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def script_text(name: str) -> Markup:
    """The text of a script of the templates, which is part of this program and hence not escaped."""
    return Markup(files("faster_rcnn.reporting").joinpath("templates", name).read_text(encoding="utf-8"))


def policy_of(script: str) -> str:
    """A content security policy: the page loads nothing, and runs this script and no other."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _data_url(picture: Image.Image, quality: int, scale: float) -> str:
    picture = picture.convert("RGB")
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    jpeg = _encoded(picture, "JPEG", quality=quality)
    # Few colours mean a drawing, which PNG stores without the stains that JPEG leaves around letters.
    is_drawing = picture.getcolors(256) is not None
    png = _encoded(picture, "PNG", optimize=True) if is_drawing else b""
    kind, content = ("png", png) if is_drawing and len(png) <= len(jpeg) else ("jpeg", jpeg)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _encoded(picture: Image.Image, form: str, **options: int | bool) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, format=form, **options)
    return buffer.getvalue()
