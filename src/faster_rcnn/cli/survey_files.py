"""The files that ``faster-rcnn explain`` writes about labelled images, beside its page and its numbers."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faster_rcnn.cli.outputs import require_file, require_folder, write_json
from faster_rcnn.errors import OptionError
from faster_rcnn.system.atomic import atomic_write
from faster_rcnn.system.console import say
from faster_rcnn.system.wording import count_of

if TYPE_CHECKING:
    from faster_rcnn.explanation.survey import Survey

OWN_COCO, OWN_CSV = b"verdicts of faster-rcnn", b"image,error,class,score"
"""Texts at the beginning of the files of earlier calls, which may be overwritten."""
BEGINNING = 200
"""Bytes of a file among which such a text is."""


@dataclass(frozen=True, slots=True)
class SurveyFiles:
    """The files that a user asks for; ``None`` for each that is not wanted."""

    label_errors: Path | None = None
    coco: Path | None = None
    folders: Path | None = None

    def given(self) -> dict[str, Path]:
        """The options that are given, with their values."""
        values = {"--label-errors": self.label_errors, "--coco": self.coco, "--folders": self.folders}
        return {option: value for option, value in values.items() if value is not None}

    def refuse_idle(self, reason: str) -> None:
        """Raise ``OptionError`` where any file is asked for, which nothing would be written to."""
        for option, value in self.given().items():
            raise OptionError(f"{option} {value} {reason}; leave the option out")

    def require(self, data: Path, split: str | None, against: str | None, inputs: Iterable[Path | None]) -> None:
        """Refuse files that cannot be written, before the work begins.

        Raises:
            OptionError: a place lies in the data, or is taken by something that no call of this command wrote (E132);
                label errors are asked for in images that the detector was trained on; or there are two models.
            MachineError: a place cannot be written to.
        """
        if against is not None:
            self.refuse_idle(f"is about one model, and --against {against} names a second one")
        if self.label_errors is not None and split == "train":
            raise OptionError(
                f"--label-errors {self.label_errors}: a detector repeats the errors of labels that it was trained on, "
                "so those of train cannot be found; name another split with --split"
            )
        for option, value in self.given().items():
            refuse_inside(option, value, data)
        files = (("--label-errors", self.label_errors, OWN_CSV), ("--coco", self.coco, OWN_COCO))
        for option, path, own in files:
            require_file(option, path, inputs)
            _refuse_foreign(option, path, own)
        require_folder("--folders", self.folders)
        if self.folders is not None and self.folders.is_dir() and any(self.folders.iterdir()):
            raise OptionError(f"--folders {self.folders} is there and is not empty; name a new folder", code="E132")

    def write(self, survey: Survey) -> None:
        """Write the files, each complete or not at all, and name them."""
        if self.label_errors is not None:
            text, count = survey.label_errors_csv()
            with atomic_write(self.label_errors) as temporary:
                temporary.write_text(text, encoding="utf-8", errors="surrogateescape")
            say(f"{count_of(count, 'probable label error')} in {self.label_errors}")
        if self.coco is not None:
            write_json(str(self.coco), survey.to_coco())
            say(f"labels and detections with their verdicts in {self.coco}")
        if self.folders is not None:
            missed, false = survey.write_folders(self.folders)
            pictures = f"{count_of(missed, 'missed object')} and {count_of(false, 'false positive')}"
            say(f"pictures of {pictures} in {self.folders}")


def refuse_inside(option: str, target: str | Path | None, data: Path) -> None:
    """Raise ``OptionError`` (E132) for an output inside a folder of labelled images, which is never written to."""
    if target is None or str(target) == "-" or not data.is_dir():
        return
    if Path(target).resolve().is_relative_to(data.resolve()):
        raise OptionError(
            f"{option} {target} lies in the labelled images of {data}, which are never written to; name another place",
            code="E132",
        )


def _refuse_foreign(option: str, path: Path | None, own: bytes) -> None:
    """Raise ``OptionError`` (E132) where a file is there that no earlier call wrote."""
    if path is None or not os.path.isfile(path) or not path.stat().st_size:
        return
    with path.open("rb") as file:
        if own not in file.read(BEGINNING):
            raise OptionError(
                f"{option} {path} is there and was not written by this option, so it is kept; name another file",
                code="E132",
            )
