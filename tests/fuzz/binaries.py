"""Variants of binary files that keep their frame valid: safetensors, archives of ``torch.save``, pickles, images."""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from random import Random

from fuzz.mutations import Mutate, changed_json, mutated_bytes, nasty

TYPES = ("F64", "F32", "F16", "BF16", "I64", "I32", "I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "C64", "U16", "F4", "")
"""Types of tensors by their names in safetensors; the last name does not exist."""

FLOATS = (float("nan"), float("inf"), float("-inf"), 1e38, -1e38, 1e-45, -1.0, 0.0)


def mutated_safetensors(key: str) -> Mutate:
    """Mutates safetensors files whose own metadata, in JSON, stand under ``key``: its header, these, or its numbers."""

    def mutated(random: Random, seeds: Sequence[bytes]) -> bytes:
        content = random.choice(seeds)
        header, data = _header_and_data(content)
        match random.randrange(6):
            case 0:
                return mutated_bytes(random, seeds)
            case 1:
                return _safetensors(changed_json(random, header), data)
            case 2 | 3:
                return with_metadata(content, key, lambda text: changed_json(random, text))
            case 4:
                return _safetensors(_other_tensor(random, header), data)
            case _:
                start = 4 * random.randrange(len(data) // 4)
                return _safetensors(header, data[:start] + struct.pack("<f", random.choice(FLOATS)) + data[start + 4 :])

    return mutated


def with_metadata(content: bytes, key: str, change: Callable[[str], str]) -> bytes:
    """A safetensors file with changed metadata under ``key``."""
    header, data = _header_and_data(content)
    parts = json.loads(header)
    parts["__metadata__"][key] = change(parts["__metadata__"][key]).encode("utf-8", "replace").decode()
    return _safetensors(json.dumps(parts), data)


def _header_and_data(content: bytes) -> tuple[str, bytes]:
    size = int.from_bytes(content[:8], "little")
    return content[8 : 8 + size].decode(), content[8 + size :]


def _safetensors(header: str, data: bytes) -> bytes:
    encoded = header.encode("utf-8", "replace")
    return len(encoded).to_bytes(8, "little") + encoded + data


def _other_tensor(random: Random, header: str) -> str:
    """One tensor with another name, type or shape, or without a part of its bytes."""
    parts = json.loads(header)
    name = random.choice([each for each in parts if each != "__metadata__"])
    tensor = parts[name]
    match random.randrange(5):
        case 0:
            del parts[name]
        case 1:
            parts[nasty(random)] = parts.pop(name)
        case 2:
            tensor["dtype"] = random.choice(TYPES)
        case 3:
            tensor["shape"] = random.choice(
                ([], [0], [1], [1] * 70, tensor["shape"][::-1], [2**62, 4], [*tensor["shape"], 1])
            )
        case _:
            parts[random.choice(list(parts))] = tensor  # two names for the same bytes
    return json.dumps(parts)


def mutated_archive(random: Random, seeds: Sequence[bytes]) -> bytes:
    """One record of what ``torch.save`` writes changed, compressed, left out or renamed."""
    content = random.choice(seeds)
    if random.random() < 0.2:
        return mutated_bytes(random, seeds)
    if not content.startswith(b"PK"):
        return mutated_pickle(random, [content])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        records = [(name, archive.read(name)) for name in archive.namelist()]
    index = next(n for n, (name, _) in enumerate(records) if name.endswith("data.pkl"))
    kind = zipfile.ZIP_STORED
    match random.randrange(8):
        case 0:
            kind = zipfile.ZIP_DEFLATED
            records.append(("archive/zeros", bytes(1 << 20)))
        case 1:
            records.pop(random.randrange(len(records)))
        case 2:
            index = random.randrange(len(records))
            records[index] = (records[index][0], mutated_bytes(random, [records[index][1]]))
        case 3:
            index = random.randrange(len(records))
            records[index] = (random.choice(("x", "../x", "/x", f"\x1b[{index}m")), records[index][1])
        case _:
            records[index] = (records[index][0], mutated_pickle(random, [records[index][1]]))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", kind) as archive:
        for name, record in records:
            archive.writestr(zipfile.ZipInfo(name), record, kind)
    return stream.getvalue()


def mutated_pickle(random: Random, seeds: Sequence[bytes]) -> bytes:
    """One or two operations of a pickle left out, repeated, or replaced by another that leaves a value."""
    content = random.choice(seeds)
    if random.random() < 0.15:
        return mutated_bytes(random, seeds)
    for _ in range(random.choice((1, 1, 2))):
        places = _operations(content)
        start, end = random.choice(places)
        own, other = content[start:end], random.choice(places)
        replacement = random.choice(
            (b"", own + own, content[slice(*other)], random.choice(_VALUES), random.choice(_VALUES))
        )
        content = content[:start] + replacement + content[end:]
    return content


def _operations(content: bytes) -> list[tuple[int, int]]:
    """Begin and end of each operation of a pickle, as far as it can be read."""
    starts = []
    try:
        for _, _, place in pickletools.genops(content):
            starts.append(place or 0)
    except ValueError:
        pass
    ends = [*starts[1:], len(content)]
    return list(zip(starts, ends, strict=True)) or [(0, len(content))]


def _operation(value: object) -> bytes:
    """Operations that leave a value, without the frame of a whole pickle."""
    return pickle.dumps(value, 2)[2:-1]


def _call(module: str, name: str, argument: object) -> bytes:
    return f"c{module}\n{name}\n".encode() + _operation((argument,)) + b"R"


_VALUES = (
    *map(_operation, (None, True, 0, -1, 255, 2**31 - 1, -(2**31), 2**63, 2**64, 10**30, 0.5, *FLOATS[:2])),
    *map(_operation, ("", "x", "\ud800", "\0", "backbone.body", "cuda:0", b"", b"x" * 10, (), (1,), [], {})),
    _operation((2**40, 2**40)),
    *map(_operation, ({"a": 1}, ("storage", None, "0", "cpu", 10**12), [[]] * 100, {1: 2}, "x" * 100_000)),
    _call("builtins", "bytearray", 10**10), _call("builtins", "range", 10**10), _call("collections", "OrderedDict", 1),
    _call("torch", "device", "meta"), _call("torch", "Size", (2**62,)),
    _call("os", "system", "true"), _call("torch", "float32", 1),
    _call("torch._utils", "_rebuild_tensor_v2", 1),
    _call("torch._utils", "_rebuild_parameter", 1), _call("__builtin__", "set", []),
    b"Q", b"R", b"b", b"s", b"u", b"e", b"a", b"(", b"t", b"0",
    b"1", b"2", b"}", b"]", b".", b"q\xff", b"h\xff", b"\x81", b"\x93",
)  # fmt: skip


def mutated_png(random: Random, seeds: Sequence[bytes]) -> bytes:
    """A chunk of a PNG changed and given its right checksum, or left out, repeated or moved."""
    if random.random() < 0.3:
        return mutated_bytes(random, seeds)
    chunks = _chunks(random.choice(seeds))
    place = random.randrange(len(chunks))
    kind, data = chunks[place]
    match random.randrange(6):
        case 0:
            del chunks[place]
        case 1:
            chunks.insert(place, chunks[random.randrange(len(chunks))])
        case 2:
            kind = random.choice(
                (b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"iCCP", b"tRNS", b"PLTE", b"acTL", b"fdAT", b"gAMA")
            )
            chunks.insert(1, (kind, random.randbytes(random.choice((0, 1, 6, 30)))))
        case 3:
            chunks[0] = (b"IHDR", _other_size(random, chunks[0][1]))
        case 4:
            chunks.insert(1, (b"zTXt", b"a\0\0" + zlib.compress(bytes(10_000_000))))
        case _:
            chunks[place] = (kind, mutated_bytes(random, [data]))
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _other_size(random: Random, header: bytes) -> bytes:
    sides = random.choice(
        ((0, 1), (1, 0), (1, 100_000_000), (100_000_000, 1), (13_000, 13_000), (2**31, 2**31), (2**32 - 1, 1))
    )
    return struct.pack(">II", *sides) + header[8:]


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    chunks, place = [], 8
    while place < len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + size]))
        place += size + 12
    return chunks


def with_numbers_of(find: Callable[[bytes], Sequence[int]]) -> Mutate:
    """Mutates files by the two bytes at one of the places that ``find`` gives, such as sizes; or by any bytes."""

    def mutated(random: Random, seeds: Sequence[bytes]) -> bytes:
        content = random.choice(seeds)
        places = find(content)
        if random.random() < 0.5 or not places:
            return mutated_bytes(random, seeds)
        place = random.choice(places)
        value = random.choice((0, 1, 2, 7, 255, 256, 0x7FFF, 0x8000, 0xFFFF, random.randrange(1 << 16)))
        return content[:place] + value.to_bytes(2, random.choice(("little", "big"))) + content[place + 2 :]

    return mutated


def jpeg_numbers(content: bytes) -> list[int]:
    """Positions of the lengths, sizes, and numbers of components in a JPEG's segments."""
    places, place = [], 2
    while place + 4 < len(content) and content[place] == 0xFF and content[place + 1] != 0xDA:
        places += [place, place + 2, place + 4, place + 5, place + 7, place + 9]
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return places


def tiff_numbers(content: bytes) -> list[int]:
    """Positions of tags, types, counts and values in the entries of a TIFF's first directory."""
    start = int.from_bytes(content[4:8], "little")
    count = int.from_bytes(content[start : start + 2], "little")
    return [start, *range(start + 2, start + 2 + 12 * count, 2)]


def box_numbers(content: bytes) -> list[int]:
    """Every second position of the first 400 bytes, where RIFF and ISO files have their boxes."""
    return list(range(0, min(400, len(content) - 2), 2))
