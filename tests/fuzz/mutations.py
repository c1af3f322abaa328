"""Damaged and hostile variants of valid files, each made by a seeded generator, so that it is reproducible.

A mutation of bytes ignores the format and mostly ends in a reader's first check. Mutations of text, JSON, XML and
YAML keep the rest of the file valid and so reach the code behind that check.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any
from xml.etree import ElementTree

Mutate = Callable[[Random, Sequence[bytes]], bytes]
"""One mutation, from valid files of one format."""

NUMBERS = (
    "0", "-0", "-1", "1", "1.5", "-1e-3", "1e400", "-1e400",
    "1e-400", "1e308", "NaN", "nan", "Infinity", "-inf", ".inf",
    "2147483648", "-9223372036854775809", "18446744073709551616",
    "9" * 5000, "1." + "0" * 5000 + "1", "0x10", "1_0", "٣",
)  # fmt: skip
"""Digits that are no number here, and numbers that are too large for a float, 32 or 64 bits, or for Python."""

WORDS = (
    "", " ", "\0", "a\0b", "\ud800", "\x1b[31mred\x1b[0m", "\x9b2J",
    "a\nb", "\r", "\u2028", "\u202e", "é" * 300, "x" * 50_000,
    "..", "../..", "/", "//", "/dev/zero", "/dev/full",
    "/proc/self/mem", "pipe", "~", "C:\\x", "images", "%s%n", "${x}",
    "null", "true", "no", "2001-99-99", "2001-01-01", "12:30:45",
    "<b>&amp;", "&x;", "*a", "&a", "!!python/object:os.system x",
)  # fmt: skip
"""Invalid names: of devices and folders, with control characters, or of another type in YAML."""

NEWLINES = ("\r", "\r\n", "\n\n", "\x85", "\u2028", "\0")
DEEP = 20_000
"""Levels of nested brackets."""
MANY = 5_000
"""Repetitions of a line or a record: enough for a quadratic reader to be slow."""
MAX_CHARACTERS = 1_000_000
"""Maximum length of a repeated line: a small file must not take much memory, and a large one may."""


def mutated_bytes(random: Random, seeds: Sequence[bytes]) -> bytes:
    """One to four changes of bytes that ignore the format."""
    content = random.choice(seeds)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        content = random.choice(_BYTE_CHANGES)(random, content, random.choice(seeds))
    return content


def _place(random: Random, length: int) -> int:
    """A position; every other time near the beginning, where most formats have their header."""
    return random.randrange(max(1, min(length, 256) if random.random() < 0.5 else length))


def _flip(random: Random, content: bytes, _: bytes) -> bytes:
    changed = bytearray(content or b"\0")
    for __ in range(random.choice((1, 1, 3, 16))):
        changed[_place(random, len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _overwrite(random: Random, content: bytes, _: bytes) -> bytes:
    start = _place(random, len(content))
    size = random.choice((1, 2, 4, 8))
    value = random.choice((0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1))
    return content[:start] + value.to_bytes(size, random.choice(("little", "big"))) + content[start + size :]


def _insert(random: Random, content: bytes, _: bytes) -> bytes:
    start = _place(random, len(content))
    return content[:start] + random.randbytes(random.choice((1, 2, 8, 300))) + content[start:]


def _remove(random: Random, content: bytes, _: bytes) -> bytes:
    start = _place(random, len(content))
    return content[:start] + content[start + random.choice((1, 2, 16, 300)) :]


def _repeat(random: Random, content: bytes, _: bytes) -> bytes:
    start, size = _place(random, len(content)), random.choice((1, 8, 64, 1000))
    return content[:start] + content[start : start + size] * random.choice((2, 3, 50)) + content[start + size :]


def _truncate(random: Random, content: bytes, _: bytes) -> bytes:
    return content[: _place(random, len(content))]


def _splice(random: Random, content: bytes, other: bytes) -> bytes:
    return content[: _place(random, len(content))] + other[_place(random, len(other)) :]


def _append(random: Random, content: bytes, other: bytes) -> bytes:
    return content + (other if random.random() < 0.5 else random.randbytes(random.choice((1, 100))))


_BYTE_CHANGES = (_flip, _flip, _overwrite, _insert, _remove, _repeat, _truncate, _splice, _append)


def mutated_text(random: Random, seeds: Sequence[bytes]) -> bytes:
    """Another word, number or line somewhere in a text, or another encoding of it; sometimes other bytes."""
    if random.random() < 0.2:
        return mutated_bytes(random, seeds)
    text = random.choice(seeds).decode()
    for _ in range(random.choice((1, 1, 2, 3))):
        text = random.choice(_TEXT_CHANGES)(random, text)
    return encoded(random, text)


def encoded(random: Random, text: str) -> bytes:
    """The text in UTF-8, sometimes in another encoding, or with other ends of lines."""
    if random.random() < 0.05:
        text = text.replace("\n", random.choice(NEWLINES))
    choice = random.random()
    if choice < 0.03:
        return codecs.BOM_UTF8 + text.encode("utf-8", "surrogatepass")
    if choice < 0.06:
        return text.encode(random.choice(("utf-16", "utf-32", "utf-16-be")), "surrogatepass")
    if choice < 0.09:
        return text.encode("latin-1", "replace")
    return text.encode("utf-8", "surrogatepass")


_TOKEN = re.compile(r"-?\d+(?:\.\d+)?|[^\W\d][\w./-]*|[^\w\s]|[ \t]+")


def _other_token(random: Random, text: str) -> str:
    """Another number for a number, another word for a word; every fourth time either for anything."""
    start = random.randrange(max(1, len(text) - 500))  # a part of it: texts that were changed before may be long
    tokens = list(_TOKEN.finditer(text, start, start + 500))
    if not tokens:
        return nasty(random)
    token = random.choice(tokens)
    is_number = token[0].lstrip("-")[:1].isdigit()
    kind = NUMBERS if is_number == (random.random() < 0.75) else WORDS
    return text[: token.start()] + random.choice(kind) + text[token.end() :]


def nasty(random: Random) -> str:
    """A word or a number that readers often handle wrongly."""
    return random.choice(random.choice((NUMBERS, WORDS)))


def _other_line(random: Random, text: str) -> str:
    lines = text.splitlines(keepends=True) or ["\n"]
    place = random.randrange(len(lines))
    match random.randrange(6):
        case 0:
            del lines[place]
        case 1:
            lines.insert(place, lines[place])
        case 2:
            lines[place] *= min(MANY, MAX_CHARACTERS // len(lines[place]) + 1)
        case 3:
            lines.insert(place, nasty(random) + "\n")
        case 4:
            lines[place] = random.choice((" ", "\t", "#", "  " * 50)) + lines[place]
        case _:
            lines.insert(random.randrange(len(lines)), lines.pop(place))
    return "".join(lines)


def _nested(random: Random, text: str) -> str:
    place = random.randrange(len(text) + 1)
    return text[:place] + random.choice(("[", "{", '{"a":', "<a>", "(", '"', "- ", "? ", "[{")) * DEEP + text[place:]


_TEXT_CHANGES = (_other_token, _other_token, _other_token, _other_token, _other_line, _other_line, _other_line, _nested)


def mutated_json(random: Random, seeds: Sequence[bytes]) -> bytes:
    """A value, key or record of a JSON document replaced, removed, repeated or nested; sometimes its text alone."""
    if random.random() < 0.25:
        return mutated_text(random, seeds)
    return encoded(random, changed_json(random, random.choice(seeds).decode()))


def changed_json(random: Random, text: str) -> str:
    """The text of a JSON document with some changed values and keys."""
    raw: list[tuple[str, str]] = []
    root = json.loads(text)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        root = _changed_value(random, root, raw)
    changed = json.dumps(root)
    for mark, replacement in raw:
        changed = changed.replace(json.dumps(mark), replacement)
    return changed


def _changed_value(random: Random, root: Any, raw: list[tuple[str, str]]) -> Any:
    """The root with one change; values that no JSON writer would write are marked, and listed in ``raw``."""
    places = list(_places(root))
    if not places or random.random() < 0.02:
        return _hostile(random, raw, root)
    # First the kind of place, else the long lists of records would take all changes.
    kind = random.choice(sorted({str(key) if isinstance(key, str) else "" for _, key in places}))
    owner, key = random.choice([each for each in places if (each[1] if isinstance(each[1], str) else "") == kind])
    match random.randrange(8):
        case 0:
            del owner[key]
        case 1 if isinstance(owner, dict):
            raw.append((mark := f"@{len(raw)}@", json.dumps(key)))  # the same key twice
            owner[mark] = _hostile(random, raw, owner[key])
        case 1:
            owner.insert(random.randrange(len(owner)), owner[key])
        case 2 if isinstance(owner, dict):
            owner[nasty(random)] = owner.pop(key)
        case 2:
            owner.extend([owner[key]] * MANY)
        case 3:
            owner[key] = [owner[key]]
        case _:
            owner[key] = _hostile(random, raw, owner[key])
    return root


def _places(value: Any) -> list[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in [(value, key), *_places(value[key])]]


def _hostile(random: Random, raw: list[tuple[str, str]], before: Any) -> Any:
    """A value in the place of another: mostly of the same type, and out of all bounds."""
    choice = random.random()
    if choice < 0.1:
        text = random.choice(
            ("[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP, "tru", "'a'", "1,", '"\\ud800"')
        )
    elif (isinstance(before, int | float) and not isinstance(before, bool)) == (choice < 0.8):
        text = random.choice(NUMBERS)
    elif choice < 0.9:
        return random.choice(WORDS)
    else:
        text = random.choice(("[]", "{}", "null", "true", "[[]]", '[{"a": 1}]', '{"a": [1]}', "[1, 2, 3, 4]"))
    raw.append((mark := f"@{len(raw)}@", text))
    return mark


def mutated_xml(random: Random, seeds: Sequence[bytes]) -> bytes:
    """An element of an XML document replaced, removed, repeated or nested, or a declaration; or its text."""
    choice = random.random()
    if choice < 0.3:
        return mutated_text(random, seeds)
    text = random.choice(seeds).decode()
    if choice < 0.45:
        return encoded(random, random.choice(_DECLARATIONS) + text)
    root = ElementTree.fromstring(text)
    places = [(parent, child) for parent in root.iter() for child in parent]
    parent, child = random.choice(places)
    mark = None
    match random.randrange(6):
        case 0:
            parent.remove(child)
        case 1:
            parent.append(child)
        case 2:
            parent.extend([child] * MANY)
        case 3:
            child.tag = random.choice(places)[1].tag
        case _:
            child.text = mark = "@0@"
    changed = ElementTree.tostring(root, encoding="unicode")
    return encoded(random, changed if mark is None else changed.replace(mark, _xml_value(random)))


def _xml_value(random: Random) -> str:
    if random.random() < 0.2:
        return random.choice(
            ("<a>" * DEEP, "<![CDATA[" + "x" * 1000 + "]]>", "&#0;", "&#xD800;", "&lt;", "&unknown;", "<!--")
        )
    return nasty(random)


_ENTITIES = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(10))
_DECLARATIONS = (
    f'<!DOCTYPE annotation [<!ENTITY l0 "ha">{_ENTITIES}]><annotation>&l9;</annotation>',
    '<!DOCTYPE annotation [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
    '<!DOCTYPE annotation SYSTEM "http://127.0.0.1:9/x.dtd">',
    *(
        f'<?xml version="1.0" encoding="{name}"?>'
        for name in ("utf-16", "x-none", "idna", "utf-7", "hex", "ibm037", "")
    ),
    '<?xml version="9.9"?>',
    "<?xml-stylesheet href='x'?>",
)


def mutated_yaml(random: Random, seeds: Sequence[bytes]) -> bytes:
    """A text of YAML with a value, key or line that only YAML has; or a change of any text."""
    if random.random() < 0.5:
        return mutated_text(random, seeds)
    lines = random.choice(seeds).decode().splitlines()
    place = random.randrange(len(lines))
    key = re.match(r"(\s*(?:- )?[\w]+:)?", lines[place])
    assert key is not None
    value = random.choice((*_YAML_VALUES, nasty(random)))
    if random.random() < 0.8:
        lines[place] = f"{key[0]} {value}"
    else:
        lines.insert(place, value)
    return encoded(random, "\n".join(lines) + "\n")


_BOMB = "[" + ", ".join(f"&b{n} [{', '.join([f'*b{n - 1}'] * 10) if n else 'x'}]" for n in range(10)) + "]"
_YAML_VALUES = (
    _BOMB, "&a [*a]", "&a {b: *a}", "*unknown", "{<<: {a: 1}}",
    "<<: 1", "!!binary AAAA", "!!set {a, b}", "!!omap [a: 1]",
    "!!timestamp 2001-99-99", "2001-99-99", "2001-01-01 25:61:61",
    "!!int x", "!!float x", "!!python/name:os.system", "!x y",
    "190:20:30", "0o77", "0b102", "~", "? [a, b]", "{[1, 2]: 3}",
    "{{a: 1}: 2}", "[" * DEEP, "- " * 1000, "|\n  text", ">-", "'",
    "%YAML 9.9", "---", "...", "\t", "@", "`", "[1, 2", "{a: 1",
    "[.nan, .inf]", "{1: a, 1: b}", "{true: a}", "{null: a}",
    "{-1: a}", "{1.5: a}", "{99999999999999999999: a}", "[null]", "[[a]]", "[a, a]", "''", "[1e3, 1_000]", "y",
)  # fmt: skip
