"""Pages that need nothing else: templates of one style, filled in and written whole."""

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
LONGEST_WORD = 18
"""Letters that a table never breaks; such as those of post-processing (15)."""


def render_page(template: str, **values: object) -> str:
    """A template of this folder, filled in; every text in it is escaped, for names are anyone's.

    Markup is escaped, and what would reverse the direction of the text around it or is not to be seen.
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
    """Write a page at once and whole and return where it is; raises ``MachineError`` where that fails."""
    with atomic_write(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def breakable(text: object) -> Markup:
    """A text, escaped, whose very long words (paths, keys, names without a space) have places where a line may break.

    In a table a line breaks nowhere else within a word: an ordinary word is never torn, and no cell is so wide that
    the numbers beside it are pushed off the page.
    """
    pieces = [_pieces(word) if len(word) > LONGEST_WORD else [word] for word in printable(str(text)).split(" ")]
    return Markup(" ").join(Markup("<wbr>").join(map(escape, each)) for each in pieces)


def _pieces(word: str) -> list[str]:
    """After each sign that parts a path or a key, and within what is too long even so."""
    parts = re.findall(r"[^/\\._,=-]*[/\\._,=-]?", word)
    return [part[start : start + LONGEST_WORD] for part in parts for start in range(0, len(part), LONGEST_WORD)]


def decimal(value: float | None) -> str:
    """Three digits; ``n/a`` where there is no value."""
    return "n/a" if value is None else f"{value:.3f}"


def duration(seconds: float) -> str:
    """Such as 8.2 s, 12 min 5 s or 3 h 7 min."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _jpeg(picture: Image.Image) -> str:
    """A picture as the address of itself."""
    buffer = BytesIO()
    picture.convert("RGB").save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
