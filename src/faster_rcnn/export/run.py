"""Exports a detector and verifies the file before it takes its place."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor

from faster_rcnn.errors import VerificationError
from faster_rcnn.export.agreement import Agreement, agreement_of
from faster_rcnn.export.files import write_file
from faster_rcnn.export.verification import Differences, compared_with
from faster_rcnn.inference.exported import detector_of
from faster_rcnn.inference.sessions import open_exported
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ImageSize
from faster_rcnn.system.atomic import atomic_write
from faster_rcnn.weights.exported import ExportFacts
from faster_rcnn.weights.model_file import LoadedModel

UNVERIFIED = ".unverified"
"""Ending of a file that differs from its detector."""


Found = Differences | Agreement
"""What a comparison found: numbers for float32, shared detections for other precisions."""


def export_verified(loaded: LoadedModel, facts: ExportFacts, out: Path, images: Sequence[Tensor] = ()) -> Found:
    """Write an exported file that finds what the detector finds; ``images`` are used beside made-up ones.

    Files in int8 are quantized with ``images``. In bfloat16 and int8 some of them have to hold objects.

    Raises:
        VerificationError: the file finds something else; it is kept under another name, see ``UNVERIFIED``.
        OptionError: the detector cannot be exported so.
        MachineError: the file cannot be written.
    """
    with TemporaryDirectory(prefix="faster-rcnn-export-") as folder:
        path = Path(folder) / out.name
        write_file(loaded, facts, path, images)
        try:
            found = verify(loaded, path, images)
        except VerificationError as error:
            _move(path, out, UNVERIFIED)
            raise VerificationError(f"{error}; the file is kept as {out}{UNVERIFIED}, do not use it") from error
        _move(path, out, "")
    return found


def verify(loaded: LoadedModel, path: Path, images: Sequence[Tensor] = ()) -> Found:
    """Compare an exported file with the detector that it was made of.

    Raises:
        VerificationError: its weights, classes or detections are others.
        ModelFileError: it is damaged, or faster-rcnn did not write it.
        MissingExtraError: its runtime is not installed.
    """
    opened = open_exported(path)
    header, facts = opened.exported.header, opened.exported.facts
    weights = opened.digest()
    if weights != facts.weights:
        raise VerificationError(
            f"{path}: its weights were changed after the export: their checksum is {weights}, and "
            f"{facts.weights} was stored"
        )
    if header.classes != loaded.classes:
        raise VerificationError(f"{path}: its classes are others than those of the detector")
    exported, sizes = detector_of(opened), _sizes(facts, loaded.config)
    found: Found
    if facts.precision == "float32":
        found = compared_with(loaded, exported, sizes, images)
    else:
        found = agreement_of(loaded, exported, sizes, images)
    if not found.is_good:
        raise VerificationError(f"{path} differs from the detector: {found}")
    return found


def _sizes(facts: ExportFacts, config: Config) -> list[ImageSize]:
    """The sizes that are tried: the one that a graph is for, or one that is wide and one that is high."""
    if facts.size is not None:
        return [facts.size]
    short, long = config.image.short_side, config.image.long_side
    wide = ImageSize(short, min(long, short * 4 // 3))
    return [wide, ImageSize(wide.width * 9 // 8, wide.height * 7 // 8)]


def _move(path: Path, out: Path, ending: str) -> None:
    """Copy what was written to its place, the files beside it first."""
    beside = sorted(each for each in path.parent.iterdir() if each != path)
    for each in [*beside, path]:
        with atomic_write(out.with_name(each.name + ending)) as temporary:
            shutil.copyfile(each, temporary)
