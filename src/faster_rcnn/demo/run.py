"""The demo: a detector of handwritten digits, trained on pictures that are made on the spot."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from faster_rcnn.data.reading import load_split
from faster_rcnn.demo.digits import SIZE, make_digits
from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.explanation.trace import trace_image
from faster_rcnn.inference.pictures import PictureFolder
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.reporting.drawing.sheet import contact_sheet
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.system.numbering import first_free
from faster_rcnn.system.progress import counted
from faster_rcnn.training.run import train

_LOG = logging.getLogger(__name__)

EPOCHS = 5
SETTINGS = (
    f"image.short_side={SIZE.height}",  # the pictures are used as they are
    f"image.long_side={SIZE.width}",
    "training.flip=0",  # a mirrored digit is another sign, or none
)
MIN_SCORE = 0.5
"""Lowest score of the detections that are drawn and explained."""
MIN_IOU = 0.5
"""Lowest IoU of a detection with the digit that it counts for, where one picture is explained."""
PICTURES_ON_SHEET = 12


@dataclass(frozen=True, slots=True)
class DemoFolder:
    """Where the demo's files lie."""

    root: Path

    @property
    def data(self) -> Path:
        """The labelled pictures."""
        return self.root / "digits"

    @property
    def run(self) -> Path:
        """The run folder with the trained detector."""
        return self.root / "run"

    @property
    def numbers(self) -> Path:
        """Metrics on the test split, as JSON."""
        return self.root / "test.json"

    @property
    def pictures(self) -> Path:
        """Test pictures with the detected boxes."""
        return self.root / "pictures"

    @property
    def explanation(self) -> Path:
        """The page of one test picture: every stage, and why each digit was found or missed."""
        return self.root / "explanation.html"

    @property
    def sheet(self) -> Path:
        """Some of these pictures on one sheet."""
        return self.root / "pictures.png"


def demo_folder(out: Path | None) -> DemoFolder:
    """``out``, or the first free of runs/demo, runs/demo-2, ...; raises ``OptionError`` where ``out`` holds a demo."""
    folder = DemoFolder(first_free(Path("runs/demo"), Path.exists) if out is None else out)
    if folder.run.exists():
        raise OptionError(f"{out} holds a demo already; choose another folder with --out", code="E132")
    return folder


def train_on_digits(folder: DemoFolder, device: str) -> None:
    """Make the pictures, and train the preset ``small`` on them."""
    _LOG.info(f"making pictures of handwritten digits in {folder.data}; they are made up, and no benchmark of anything")
    data = make_digits(folder.data)
    options = TrainOptions(model="small", out=folder.run, epochs=EPOCHS, device=device, settings=list(SETTINGS))
    train(data, options)


def draw_test_pictures(folder: DemoFolder, predictor: Predictor) -> None:
    """Draw the detections in every test picture, and the first of these pictures on one sheet."""
    names = [str(path) for path in sorted((folder.data / "images").glob("test_*.jpg"))]
    pictures = PictureFolder(folder.pictures, names)
    found = predictor.predict_each(names, conf=MIN_SCORE)
    for number, one in enumerate(counted(found, "images", len(names))):
        if isinstance(one, ImageError):
            raise one
        pictures.save(number, one)
    drawn = [Image.open(path) for path in sorted(folder.pictures.iterdir())[:PICTURES_ON_SHEET]]
    contact_sheet(drawn, columns=4, width=1600).save(folder.sheet)


def explain_test_picture(folder: DemoFolder, predictor: Predictor) -> None:
    """Write the page that explains the first test picture with a digit; its truth has the labels of the detector."""
    test = load_split(folder.data, predictor.config.data, "test").split("test")
    record = next(each for each in test.records if len(each.truth.labels))
    trace_image(predictor, record.path, record.truth, MIN_SCORE, MIN_IOU).save(folder.explanation, str(folder.run))
