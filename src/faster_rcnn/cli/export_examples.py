"""Images of the training data's kind for ``faster-rcnn export``: files, or a labelled data set."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from faster_rcnn.errors import OptionError
from faster_rcnn.system.console import say

if TYPE_CHECKING:
    from torch import Tensor

    from faster_rcnn.data.records import Split
    from faster_rcnn.settings.schema import Config


@dataclass(slots=True)
class Examples:
    """The options --images, --data and --split."""

    images: list[str] | None
    data: Path | None
    split: str | None
    _paths: list[Path] = field(default_factory=list)
    """Training images of the data, once they are read."""

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

    def labelled(self, config: Config) -> Split | None:
        """The split on which AP is measured; training images of the same data become the examples."""
        if self.data is None:
            return None
        from faster_rcnn.data.reading import load_split
        from faster_rcnn.data.records import evenly_spread
        from faster_rcnn.evaluation.detector import choose_split, settings_for
        from faster_rcnn.export.int8 import MAX_IMAGES

        dataset = load_split(self.data, settings_for(self.data, config.data), self.split, also=("train",))
        part, train = choose_split(dataset, self.split), dataset.split("train")
        for note in train.notes if train is not part else ():
            say(note)
        self._paths = [each.path for each in evenly_spread(train.records, MAX_IMAGES)]
        return part

    def pixels(self, precision: str = "float32") -> list[Tensor]:
        """The images, decoded: as many as a comparison uses, or for int8 as a calibration does."""
        from faster_rcnn.benchmark.loading import images_to_time
        from faster_rcnn.export.int8 import MAX_IMAGES
        from faster_rcnn.export.verification import GIVEN
        from faster_rcnn.inference.inputs import to_pixels
        from faster_rcnn.settings.schema import DataConfig

        count = MAX_IMAGES if precision == "int8" else GIVEN
        paths = self._paths or (images_to_time(self.images, count) if self.images else [])
        return [to_pixels(path, str(path), DataConfig().max_pixels) for path in paths[:count]]
