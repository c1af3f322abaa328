"""The command ``faster-rcnn compare``."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.cli.options import Integer, IntegerOrAuto, JsonOut, PixelsOfSide, Settings, announce_work
from faster_rcnn.cli.outputs import deliver, model_file, refuse_same_file, require_folder, require_json
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.system.console import say
from faster_rcnn.system.locking import only_writer


def compare(
    data: Path,
    /,
    *,
    model: str | None = None,
    epochs: IntegerOrAuto | None = None,
    batch: Integer | None = None,
    lr: float | None = None,
    image_size: PixelsOfSide | None = None,
    seed: Integer | None = None,
    device: str = "auto",
    settings: Settings = None,
    faster: str | None = None,
    fast: str | None = None,
    proposals: Path | None = None,
    split: str | None = None,
    images: Integer = 20,
    rounds: Integer = 3,
    out: Path | None = None,
    json: JsonOut = None,
) -> int:
    """Compare Faster R-CNN with Fast R-CNN on selective search: time of each stage, recall and AP.

    Both have the same body and the same training budget. The command trains both, or takes both with --faster and
    --fast; detectors and proposals of an earlier call are used again. Recall is that of an image's 300 best proposals.

    Args:
        data: Folder or file of labelled images.
        model: Preset that both are trained with.
        epochs: Passes over the training images, for each of the two.
        batch: Images per step.
        lr: Learning rate for 16 images per step; scaled to the batch.
        image_size: Pixels of the shorter side; the longer side's limit follows.
        seed: Seed of the random numbers for weights, order, augmentation and sampling.
        device: Device that trains and measures: auto, cpu, cuda or cuda:N.
        settings: Single settings of both, as section.key=value; several may follow.
        faster: Run folder or model file of a Faster R-CNN.
        fast: Run folder or model file of a Fast R-CNN that was trained on selective search.
        proposals: File of selective search for all images; by default it is computed.
        split: Split of the data to measure on; by default test where there is one, else val.
        images: How many of its images are timed.
        rounds: How many times each of them is timed.
        out: Folder for runs, proposals and the page; by default runs/NAME-comparison.
        json: File for the numbers; - for standard output.
    """
    announce_work(f"comparing two systems on {data}")
    from faster_rcnn.benchmark.values import Amount
    from faster_rcnn.comparison.measure import PROPOSED, compare_systems
    from faster_rcnn.comparison.report import PAGE, write_comparison
    from faster_rcnn.comparison.run import Given, both_systems
    from faster_rcnn.system.devices import choose_device

    training = TrainOptions(
        model=model,
        epochs=epochs,
        batch=batch,
        lr=lr,
        image_size=image_size,
        seed=seed,
        device=None if device == "auto" else device,
        settings=settings,
    )
    require_json(json, [data, proposals, *(model_file(each) for each in (faster, fast) if each is not None)])
    choose_device(device)
    amount = Amount(images, rounds)
    folder = out or Path("runs") / f"{data.resolve().stem}-comparison"
    require_folder("--out", folder)
    refuse_same_file({"--out": folder / PAGE, "--json": json})
    with only_writer(folder):
        pair = both_systems(data, Given(faster, fast, proposals), training, split, folder)
        found = compare_systems(data, pair, split, folder, amount, device)
        deliver(found, json)
        say(f"drawn in {write_comparison(folder, found)}")
    both = f"{pair.proposals} {folder / PROPOSED}"
    say(f"recall as curves: faster-rcnn recall {data} --split {found.split} --proposals {both} --plot recall.svg")
    return 0
