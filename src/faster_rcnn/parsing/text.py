"""Text files as other programs write them: UTF-8, UTF-16 with a byte order mark, or the encoding that an XML declares.

No encoding is guessed. A file in any other encoding is refused; the message shows the byte that does not fit and the
text around it in likely encodings, so that a person can choose.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from pathlib import Path

from faster_rcnn.errors import DatasetError
from faster_rcnn.system.files import read_argument, read_bytes

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is the first half of it
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARATION = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([^"'<>]*)["']""")
_LARGER = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "big5": "cp950", "euc_kr": "cp949"}
"""Supersets of encodings: files that declare the smaller encoding often use characters of the larger one."""
_NO_XML = frozenset(("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"))
"""Encodings that no XML file has: Python's own, and those of single words. Some decode in quadratic time."""
_WIDE = ("utf-16", "utf-32")
_WESTERN, _EASTERN = ("cp1252",), ("gb18030", "cp932", "cp950", "cp949", "cp1251")
_ADVICE = "save it as UTF-8 in an editor"


def read_text(path: Path) -> str:
    r"""The content of a file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark; lines end with ``\n``.

    Raises:
        DatasetError: the file cannot be read, or is in another encoding (E102).
    """
    raw = _content(path, read_bytes)
    return _with_newlines(_decoded(raw, path, None))


def read_text_argument(path: Path) -> str:
    """The content of a file of the command line, as ``read_text``; it may also be ``/dev/stdin`` or ``<(command)``."""
    return _with_newlines(_decoded(_content(path, read_argument), path, None))


def read_xml_text(path: Path) -> str:
    """The content of an XML file, decoded by its byte order mark, else by the declared encoding, else as UTF-8.

    Raises:
        DatasetError: the file cannot be read, or is not in the encoding that it declares (E102).
    """
    raw = _content(path, read_bytes)
    if raw[:2] in (b"<\0", b"\0<"):  # an XML file begins with '<', which identifies UTF-16 without a mark
        return _decoded((codecs.BOM_UTF16_LE if raw[0] else codecs.BOM_UTF16_BE) + raw, path, None)
    declared = _DECLARATION.match(raw[:200])
    return _decoded(raw, path, None if declared is None else declared[1].decode("latin-1"))


def _content(path: Path, read: Callable[[Path], bytes]) -> bytes:
    try:
        return read(path)
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}", code="E102") from error


def _with_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _decoded(raw: bytes, path: Path, declared: str | None) -> str:
    marked = next((name for mark, name in _MARKS if raw.startswith(mark)), None)
    if marked is None and declared is not None:
        return _as_declared(raw, path, declared)
    if marked is None and b"\0" in raw:
        raise DatasetError(
            f"{path} is not text: byte {raw.index(0)} is zero. If it is text in UTF-16 without a byte order mark, "
            f"{_ADVICE}; else remove it",
            code="E102",
        )
    try:
        return raw.decode(marked or "utf-8")
    except UnicodeDecodeError as error:
        name = {"utf-8-sig": "UTF-8"}.get(marked or "utf-8-sig", (marked or "").upper())
        raise DatasetError(f"{path} is not text in {name}: {_where(raw, error)}; {_ADVICE}", code="E102") from error


def _as_declared(raw: bytes, path: Path, declared: str) -> str:
    try:
        return _by_codec(raw, codecs.lookup(declared).name)
    except (LookupError, ValueError) as error:  # UnicodeError is a ValueError; so is a name with a zero byte
        if isinstance(error, UnicodeDecodeError):
            why = f"but {_where(raw, error)}"
        else:
            why = "which it is not" if declared.lower().startswith(_WIDE) else "which is not a known encoding"
        fits = "; it is UTF-8, so declare that" if _is_utf8(raw) else f"; {_ADVICE} and declare that"
        raise DatasetError(
            f'{path} declares encoding="{" ".join(declared.split())}", {why}{fits}', code="E102"
        ) from error


def _by_codec(raw: bytes, codec: str) -> str:
    if codec.startswith(_WIDE) or codec in _NO_XML:
        raise LookupError(codec)  # a declaration in single bytes of an encoding with wider characters is wrong
    try:
        return raw.decode(codec)
    except UnicodeDecodeError:
        if codec not in _LARGER or _is_utf8(raw):
            raise
        return raw.decode(_LARGER[codec])


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _where(raw: bytes, error: UnicodeDecodeError) -> str:
    """The line and the byte that do not fit, and the text around them in likely encodings."""
    line = raw.count(b"\n", 0, error.start) + 1
    place = f"byte {error.start} (0x{raw[error.start]:02X}, line {line}) does not fit"
    return f"{place}{_readings(raw, error.start)}"


def _readings(raw: bytes, start: int) -> str:
    """The text around a byte in the likely encodings that fit the whole file, such as `` (cp1252 gives 'piña')``."""
    runs = re.findall(rb"[\x80-\xff]+", raw)
    # Western text has single letters beyond ASCII between others; other scripts have runs of them.
    candidates = _WESTERN if max(map(len, runs), default=0) == 1 else (*_EASTERN, *_WESTERN)
    found = []
    for name in candidates:
        try:
            before, after = raw[:start].decode(name), raw[start:].decode(name)
        except UnicodeDecodeError:
            continue
        word = re.split(r"\s", before)[-1][-20:] + re.split(r"\s", after)[0][:20]
        if word.isprintable():
            found.append(f"{name} gives '{word}'")
    return f" ({', '.join(found[:3])})" if found else ""
