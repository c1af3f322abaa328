"""Images of the training data's kind for ``faster-rcnn export``: files, or a labelled data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faster_rcnn.errors import OptionError

if TYPE_CHECKING:
    from torch import Tensor

    from faster_rcnn.data.records import Split
    from faster_rcnn.settings.schema import DataConfig


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """What an export is compared on."""

    pixels: tuple[Tensor, ...] = ()
    """Decoded images: as many as a comparison uses, or for int8 as a calibration does."""
    labelled: Split | None = None
    """The split on which AP is measured."""


@dataclass(frozen=True, slots=True)
class ExampleOptions:
    """The options --images, --data and --split."""

    images: list[str] | None
    data: Path | None
    split: str | None

    def __post_init__(self) -> None:
        """Raise ``OptionError`` (E125) for options that contradict each other."""
        if self.images is not None and self.data is not None:
            raise OptionError(f"--data {self.data}: its images stand for --images; leave one out", code="E125")
        if self.split is not None and self.data is None:
            raise OptionError(f"--split {self.split} is for the labelled images of --data; name both", code="E125")

    def refuse_missing(self, precision: str) -> None:
        """Raise ``OptionError`` (E125) for a precision that is calibrated or verified on images with objects."""
        if precision != "float32" and self.images is None and self.data is None:
            use = "calibrated and compared" if precision == "int8" else "compared"
            raise OptionError(
                f"--precision {precision} is {use} on images with objects, like those it was trained on: give "
                "--images FOLDER, or labelled ones, --data DATA",
                code="E125",
            )

    def read(self, trained_on: DataConfig, precision: str = "float32") -> Examples:
        """Read the images for a file of this precision, as the detector's training data were read.

        Raises:
            OptionError: there is no image.
            DatasetError: the data are none, or none of the images can be read.
        """
        from faster_rcnn.evaluation.detector import splits_to_calibrate
        from faster_rcnn.export.int8 import MAX_IMAGES
        from faster_rcnn.export.verification import GIVEN
        from faster_rcnn.inference.examples import read_examples
        from faster_rcnn.inference.sources import require_files

        count = MAX_IMAGES if precision == "int8" else GIVEN
        part, paths = None, require_files(self.images, "used") if self.images else []
        if self.data is not None:
            part, train = splits_to_calibrate(self.data, trained_on, self.split)
            paths = [each.path for each in train.records]
        return Examples(tuple(read_examples(paths, count, trained_on.max_pixels)), part)
