"""``faster-rcnn demo``: the whole way on pictures made on the spot, from labelled images to boxes on new ones."""

from __future__ import annotations

import time
from pathlib import Path

from PIL import Image

from faster_rcnn.cli.bodies import evaluate, predict
from faster_rcnn.cli.outputs import require_folder
from faster_rcnn.demo.digits import CREDITS, SIZE, make_digits
from faster_rcnn.errors import OptionError
from faster_rcnn.reporting.drawing.sheet import contact_sheet
from faster_rcnn.system.console import say
from faster_rcnn.system.devices import choose_device
from faster_rcnn.system.locking import only_writer
from faster_rcnn.system.numbering import first_free
from faster_rcnn.training.run import train

EPOCHS = 5
SETTINGS = (
    f"image.short_side={SIZE.height}",  # the pictures are used as they are
    f"image.long_side={SIZE.width}",
    "rpn.anchor_sizes=[[16], [32], [64], [128], [256]]",  # digits are 24 to 160 pixels high, a 1 is 9 wide
    "training.flip=0",  # a mirrored digit is another sign, or none
)
PICTURES_ON_SHEET = 12


def run(out: Path | None, device: str = "auto") -> int:
    """Make the pictures, train, evaluate on the test split, and draw what is found there."""
    choose_device(device)
    out = _free_folder(out)
    require_folder("--out", out)
    with only_writer(out):
        _show(out, device)
    return 0


def _show(out: Path, device: str) -> None:
    began = time.perf_counter()
    say(f"making pictures of handwritten digits in {out / 'digits'}; they are made up, and no benchmark of anything")
    data = make_digits(out / "digits")
    folder = train(data, model="small", out=out / "run", settings=SETTINGS, flags={"epochs": EPOCHS, "device": device})
    evaluate.run(str(folder), data, split="test", precision="auto", json=str(out / "test.json"), device=device)
    pictures = out / "pictures"
    test_images = str(data / "images" / "test_*.jpg")
    predict.run(
        str(folder), [test_images], conf=0.5, max_det=None, precision="auto", out=pictures, json=None, device=device
    )
    sheet = out / "pictures.png"
    drawn = [Image.open(path) for path in sorted(pictures.iterdir())[:PICTURES_ON_SHEET]]
    contact_sheet(drawn, columns=4, width=1600).save(sheet)
    say("", *CREDITS.splitlines(), "")
    say(f"done in {time.perf_counter() - began:.0f} s. Test pictures with the boxes that were found: {sheet}")
    say(f"all of them: {pictures}; the detector: {folder}. Your own images: faster-rcnn train DATA")


def _free_folder(out: Path | None) -> Path:
    """``out``, which must not hold a demo yet, or the first free of runs/demo, runs/demo-2, ..."""
    if out is None:
        return first_free(Path("runs/demo"), Path.exists)
    if (out / "run").exists():
        raise OptionError(f"{out} holds a demo already; choose another folder with --out", code="E132")
    return out
