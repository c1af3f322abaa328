"""Self-contained HTML pages, rendered from templates of one style and written atomically."""

from __future__ import annotations

import base64
import re
from io import BytesIO
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from faster_rcnn.system.atomic import atomic_write
from faster_rcnn.system.terminal import printable

JPEG_QUALITY = 85
MAX_UNBROKEN = 18
"""Length of the longest word that is never broken in a table; ``post-processing`` has 15 letters."""


def render_page(template: str, **values: object) -> str:
    """Render a template of the folder ``templates`` with these values.

    Names of files and classes are untrusted, so markup in every text is escaped, and so are characters that are
    invisible or would reverse the direction of the text around them.
    """
    pages = Environment(
        loader=PackageLoader("faster_rcnn.reporting", "templates"),
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else printable(str(value)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {
        "breakable": breakable,
        "decimal": decimal,
        "duration": duration,
        "jpeg": _jpeg,
        "thousands": "{:,}".format,
    }
    return pages.get_template(template).render(**values)


def write_page(path: Path, html: str) -> Path:
    """Write a page atomically and return its path; raises ``MachineError`` where that fails."""
    with atomic_write(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def breakable(text: object) -> Markup:
    """Escape a text and allow line breaks within its very long words (paths, keys, names without a space).

    In a table a line breaks nowhere else within a word: no ordinary word is broken, and no cell is so wide that it
    pushes the numbers beside it off the page.
    """
    pieces = [_pieces(word) if len(word) > MAX_UNBROKEN else [word] for word in printable(str(text)).split(" ")]
    return Markup(" ").join(Markup("<wbr>").join(map(escape, each)) for each in pieces)


def _pieces(word: str) -> list[str]:
    """Split a word after each separator of a path or key, and split pieces that are still too long."""
    parts = re.findall(r"[^/\\._,=-]*[/\\._,=-]?", word)
    return [part[start : start + MAX_UNBROKEN] for part in parts for start in range(0, len(part), MAX_UNBROKEN)]


def decimal(value: float | None) -> str:
    """A number with three decimals; ``n/a`` where there is no value."""
    return "n/a" if value is None else f"{value:.3f}"


def duration(seconds: float) -> str:
    """A duration such as ``8.2 s``, ``12 min 5 s`` or ``3 h 7 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _jpeg(picture: Image.Image) -> str:
    """A picture as a JPEG in a data URL."""
    buffer = BytesIO()
    picture.convert("RGB").save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
