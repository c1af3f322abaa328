"""The command ``faster-rcnn demo``."""

from __future__ import annotations

import time
from pathlib import Path

from faster_rcnn.cli.options import announce_work
from faster_rcnn.cli.outputs import deliver, require_folder
from faster_rcnn.system.console import say
from faster_rcnn.system.locking import only_writer


def demo(*, out: Path | None = None, device: str = "auto") -> int:
    """Train, evaluate, predict and explain on built-in pictures of handwritten digits, in a few minutes.

    Args:
        out: Folder for the run and its pictures; by default a new one, runs/demo.
        device: Device that computes: auto, cpu, cuda or cuda:N.
    """
    announce_work("the demo: handwritten digits, found in pictures")
    from faster_rcnn.demo.digits import CREDITS
    from faster_rcnn.demo.run import demo_folder, draw_test_pictures, explain_test_picture, train_on_digits
    from faster_rcnn.evaluation.run import evaluate_detector
    from faster_rcnn.inference.loading import load_detector
    from faster_rcnn.inference.predictor import Predictor
    from faster_rcnn.system.devices import choose_device

    choose_device(device)
    folder = demo_folder(out)
    require_folder("--out", folder.root)
    with only_writer(folder.root):
        began = time.perf_counter()
        train_on_digits(folder, device)
        detector = load_detector(str(folder.run), "auto", device)
        deliver(evaluate_detector(detector, folder.data, "test", str(folder.run)), str(folder.numbers))
        draw_test_pictures(folder, Predictor(detector))
        explain_test_picture(folder, Predictor(detector))
        say("", *CREDITS.splitlines(), "")
        seconds = time.perf_counter() - began
        say(f"done in {seconds:.0f} s. Test pictures with the detected boxes: {folder.sheet}")
        say(f"every stage for one of them, and why each digit was found or missed: {folder.explanation}")
        say(f"all of them: {folder.pictures}; the detector: {folder.run}. Your own images: faster-rcnn train DATA")
    return 0
