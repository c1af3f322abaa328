"""Fonts for every class name: Pillow's own font, else a font of the machine that has all letters, else several fonts.

The machine's fonts are searched only where a name needs one, and once for all names of a detector.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from PIL import ImageFont

from faster_rcnn.structures import ClassMap

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

FONT_ENDINGS = (".ttf", ".otf", ".ttc", ".otc")
PREFERRED = ("DejaVuSans", "NotoSans-Regular", "NotoSansCJK-Regular", "Arial Unicode", "msyh", "segoeui", "Arial")
"""Fonts that are tried before all others, as they are upright and have many letters."""
STYLES = ("bold", "italic", "oblique", "black", "light", "thin", "condensed", "mono", "serif")
"""Styles whose names move a font to the end of the order."""
EMPTY_BOXES = ("lastresort", "adobeblank", "adobenotdef")
"""Fonts that draw a placeholder for every letter."""
TRIAL_SIZE = 16
"""The size in pixels at which letters are compared with the placeholder for a missing letter."""
NO_LETTER = "\uffff"
JOINERS = "\u200c\u200d"
EXAMPLES = 3
"""The number of names in a warning."""

_LOG = logging.getLogger(__name__)


class Lettering(NamedTuple):
    """The text and the fonts in which the name of a class is written on pictures."""

    text: str
    files: tuple[str | None, ...]
    """The font of each character; ``None`` for Pillow's own."""

    def runs(self) -> list[tuple[str, str | None]]:
        """Split the text into pieces of one font each."""
        pairs = zip(self.text, self.files, strict=True)
        return [
            ("".join(character for character, _ in run), file) for file, run in groupby(pairs, key=lambda pair: pair[1])
        ]

    def width(self, size: int) -> int:
        """The width in pixels in letters of this size."""
        return math.ceil(sum(text_width(text, file, size) for text, file in self.runs()))

    def shortened(self, kept: int) -> Lettering:
        """Keep ``kept`` characters, at the beginning and the end, with an ellipsis between them."""
        head, tail = (kept + 1) // 2, len(self.text) - kept // 2
        return Lettering(f"{self.text[:head]}…{self.text[tail:]}", (*self.files[:head], None, *self.files[tail:]))


class _FontFile(NamedTuple):
    """A font, and the needed letters that it has."""

    file: str | None
    letters: frozenset[str]


@lru_cache(maxsize=16)
def letterings(classes: ClassMap) -> tuple[Lettering, ...]:
    """Choose the text and the fonts of each label's name; one warning names those that no font can write.

    Control characters are escaped. A name with letters that no font has is written in similar letters that can be read
    (``cafe``, ``:palm tree:``), else as ``#`` and the id of the class.
    """
    wordings = [_wordings(classes.name_of(label), classes.ids[label]) for label in range(len(classes))]
    fonts = _fonts_for(wordings)
    written = [_written(each, fonts) for each in wordings]
    changed = [
        f"{texts[0]!r} as {chosen.text!r}"
        for texts, chosen in zip(wordings, written, strict=True)
        if chosen.text != texts[0] and texts[0].strip()
    ]
    if changed:
        more = f" and {len(changed) - EXAMPLES} more" if len(changed) > EXAMPLES else ""
        _LOG.warning(
            "no font on this machine has all letters of some class names, so pictures show %s%s; install one that does "
            "(Debian and Ubuntu: apt-get install fonts-noto-core fonts-noto-cjk)",
            ", ".join(changed[:EXAMPLES]),
            more,
        )
    return tuple(written)


@lru_cache(maxsize=64)
def load_font(file: str | None, size: int) -> Font:
    """Load a font in letters of this many pixels; Pillow's own without a file."""
    return ImageFont.load_default(size) if file is None else ImageFont.truetype(file, size)


@lru_cache(maxsize=4096)
def text_width(text: str, file: str | None, size: int) -> float:
    """The width of a text in pixels; cached, as a crowded picture measures the same few texts again and again."""
    return load_font(file, size).getlength(text)


def font_folders() -> list[Path]:
    """The folders of fonts on this operating system."""
    home = Path.home()
    match sys.platform:
        case "win32":
            local = os.environ.get("LOCALAPPDATA", str(home / "AppData" / "Local"))
            return [Path(os.environ.get("WINDIR", "C:/Windows"), "Fonts"), Path(local, "Microsoft", "Windows", "Fonts")]
        case "darwin":
            return [home / "Library" / "Fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts")]
        case _:
            data = [os.environ.get("XDG_DATA_HOME") or str(home / ".local" / "share")]
            data += (os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
            return [home / ".fonts", *(Path(each, "fonts") for each in data)]


def _wordings(name: str, number: int) -> tuple[str, ...]:
    """The texts for a name, best first; the last text is ASCII."""
    number_text = f"#{number}"
    if not name.strip():
        return name, number_text
    plain = "".join(_visible(character) for character in unicodedata.normalize("NFC", name))
    spelled = "".join(_spelled(character) for character in plain)
    bare = "".join(
        each for each in unicodedata.normalize("NFKD", spelled) if not unicodedata.category(each).startswith("M")
    )
    return (plain,) if plain.isascii() else (plain, spelled, bare, number_text)


def _visible(character: str) -> str:
    """Escape control characters, and replace every kind of space by the usual one."""
    kind = unicodedata.category(character)
    if kind == "Zs":
        return " "
    if kind in ("Cc", "Cs", "Zl", "Zp") or (kind == "Cf" and character not in JOINERS):
        return character.encode("unicode_escape").decode("ascii")
    return character


def _spelled(character: str) -> str:
    """The name of a symbol, such as ``:palm tree:``; empty for a variation selector."""
    if 0xFE00 <= ord(character) <= 0xFE0F:
        return ""
    symbol = unicodedata.category(character) in ("So", "Sk", "Sm") and not character.isascii()
    return f":{unicodedata.name(character, 'symbol').lower()}:" if symbol else character


def _written(wordings: Sequence[str], fonts: Sequence[_FontFile]) -> Lettering:
    """The first text whose letters the fonts have."""
    lettered = ((text, _files_for(text, fonts)) for text in wordings if text.strip())
    return next(Lettering(text, files) for text, files in lettered if files is not None)


def _files_for(text: str, fonts: Sequence[_FontFile]) -> tuple[str | None, ...] | None:
    """The font of each character, with few changes of font; ``None`` where no font has a letter."""
    if text.isascii():
        return (None,) * len(text)
    files: list[str | None] = []
    whole = [font for font in fonts if font.letters.issuperset(_letters(text))]
    last = whole[0] if whole else fonts[0]
    for letter in text:
        having = [font for font in (last, *fonts) if letter in font.letters or not _letters(letter)]
        if not having:
            return None
        last = having[0]
        files.append(last.file)
    return tuple(files)


def _fonts_for(wordings: Sequence[tuple[str, ...]]) -> list[_FontFile]:
    """Read fonts in their order until every name has a font with all of its letters, or no font is left."""
    missing = {texts[0] for texts in wordings if not texts[0].isascii()}
    wanted = frozenset().union(*(_letters(text) for texts in wordings for text in texts if texts[0] in missing))
    fonts: list[_FontFile] = []
    for file in _files():
        if not missing:
            break
        fonts.append(_FontFile(file, _letters_in(file, wanted)))
        missing = {text for text in missing if not fonts[-1].letters.issuperset(_letters(text))}
    return fonts


def _letters(text: str) -> frozenset[str]:
    """The letters of a text that a font must have: all characters but spaces and joiners."""
    return frozenset(text) - {" ", *JOINERS}


def _letters_in(file: str | None, wanted: frozenset[str]) -> frozenset[str]:
    """The wanted letters that a font has; none where it cannot be read, or is a bitmap font of another size."""
    with contextlib.suppress(OSError):
        font = load_font(file, TRIAL_SIZE)
        missing = bytes(font.getmask(NO_LETTER))
        shapes = {letter: bytes(font.getmask(letter)) for letter in wanted}
        return frozenset(letter for letter, shape in shapes.items() if any(shape) and shape != missing)
    return frozenset()


def _files() -> Iterator[str | None]:
    """Pillow's own font, then the machine's fonts, each path once."""
    yield None
    found = [
        Path(folder, name)
        for root in font_folders()
        for folder, _, names in os.walk(root)
        for name in names
        if name.lower().endswith(FONT_ENDINGS) and not name.lower().startswith(EMPTY_BOXES)
    ]
    yield from dict.fromkeys(str(path) for path in sorted(found, key=_rank))


def _rank(path: Path) -> tuple[int, int, str]:
    """Sort preferred fonts first, and styled fonts last."""
    styles = sum(style in path.stem.lower() for style in STYLES)
    return (PREFERRED.index(path.stem) if path.stem in PREFERRED else len(PREFERRED), styles, str(path))
