"""The folder of a large prediction: Parquet files, each written whole, and a manifest of what they were made with.

A later run with the same model and options predicts the images that no file holds yet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faster_rcnn.errors import MissingExtraError, OptionError
from faster_rcnn.serving.rows import SCHEMA, pa
from faster_rcnn.system.atomic import as_machine_error, atomic_write

try:
    from pyarrow import parquet
except ImportError as error:
    raise MissingExtraError("pyarrow", "ray") from error

MANIFEST = "_manifest.json"
"""Name of the manifest; readers of a folder of Parquet files leave out what begins with an underscore."""

VERSION = 1
_PART = re.compile(r"part-([0-9]{5,})\.parquet")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the results of a folder were made with."""

    model: str
    """The model as it was named."""
    sha256: str
    """SHA-256 of its model file."""
    options: Mapping[str, Any]
    """Options that change results, by their names."""
    sources: Sequence[str]
    """All sources so far."""

    def to_json(self) -> dict[str, Any]:
        """The content of the file."""
        return {
            "version": VERSION,
            "model": self.model,
            "sha256": self.sha256,
            "options": dict(self.options),
            "sources": list(self.sources),
        }

    def differences(self, other: Manifest) -> list[str]:
        """The names and values in which results of another manifest are others; sources may differ."""
        found = [f"model {self.model} -> {other.model}"] if self.sha256 != other.sha256 else []
        names = dict.fromkeys([*self.options, *other.options])
        pairs = ((name, self.options.get(name), other.options.get(name)) for name in names)
        return found + [
            f"{name} {_shown(before)} -> {_shown(after)}" for name, before, after in pairs if before != after
        ]


class ResultsFolder:
    """Parts of a prediction in one folder, which ``only_writer`` should lock."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Begin or go on with a folder; writes the manifest, with the sources of all runs.

        Raises:
            OptionError: the folder holds results of another model or of other options, or Parquet files of something
                else (E132).
            MachineError: the manifest cannot be written.
        """
        self.folder = folder
        earlier = _read_manifest(folder)
        if earlier is not None:
            if differing := earlier.differences(manifest):
                raise OptionError(
                    f"--out {folder} holds results of another kind: {'; '.join(differing)}. Give the model and the "
                    "options that they were made with, or name another folder",
                    code="E132",
                )
            sources = tuple(dict.fromkeys([*earlier.sources, *manifest.sources]))
            manifest = Manifest(manifest.model, manifest.sha256, manifest.options, sources)
        elif others := sorted(path.name for path in folder.glob("*.parquet")):
            raise OptionError(
                f"--out {folder} holds {others[0]} and no {MANIFEST}, so it is no folder of these results; name "
                "another folder",
                code="E132",
            )
        if earlier != manifest:
            with atomic_write(folder / MANIFEST) as temporary:
                temporary.write_text(json.dumps(manifest.to_json(), indent=2) + "\n", encoding="utf-8")
        self._next = 1 + max((int(found[1]) for found in map(_PART.fullmatch, _names(folder)) if found), default=-1)

    def held(self) -> dict[str, bool]:
        """The images that the parts hold, and whether each of them failed.

        Raises ``OptionError`` for a part that is damaged or is no file of this package (E132).
        """
        images: dict[str, bool] = {}
        for name in _names(self.folder):
            if _PART.fullmatch(name):
                images.update(_images_of(self.folder / name))
        return images

    def write(self, part: pa.Table) -> Path:
        """Write a part under the next free name, where it appears whole; raises ``MachineError`` where that fails."""
        path = self.folder / f"part-{self._next:05}.parquet"
        with atomic_write(path) as temporary, as_machine_error(path):
            parquet.write_table(part, temporary, compression="zstd")
        self._next += 1
        return path


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _images_of(path: Path) -> dict[str, bool]:
    try:
        if not parquet.read_schema(path).equals(SCHEMA):
            raise ValueError("it has other columns")
        table = parquet.read_table(path, columns=["image", "error"])
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise OptionError(
            f"{path} is damaged, or is no part of these results: {reason}. Delete it, and the images that it held are "
            "predicted again",
            code="E132",
        ) from error
    failed = table.filter(table["error"].is_valid())["image"].to_pylist()
    return dict.fromkeys(table["image"].unique().to_pylist(), False) | dict.fromkeys(failed, True)


def _read_manifest(folder: Path) -> Manifest | None:
    """The manifest of an earlier run; ``None`` where there is none."""
    path = folder / MANIFEST
    try:
        found = json.loads(path.read_bytes())
        model, sha256, options, sources = (found[name] for name in ("model", "sha256", "options", "sources"))
        right = isinstance(options, dict) and isinstance(sources, list) and found["version"] == VERSION
        if not right or not all(isinstance(each, str) for each in (model, sha256, *sources)):
            raise ValueError("a value has the wrong type or version")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise OptionError(
            f"{path} is no manifest that this version reads ({type(error).__name__}: {error}); name another folder "
            "with --out",
            code="E132",
        ) from error
    return Manifest(model, sha256, options, sources)


def _shown(value: object) -> str:
    return "none" if value is None else str(value)
