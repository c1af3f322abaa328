"""Every reader of the package with valid files, the way to damage them, and the call that commands read them by."""

from __future__ import annotations

import io
import json
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from PIL import Image

from faster_rcnn import Detector
from faster_rcnn.building import build_model
from faster_rcnn.data.decode import image_header, is_whole
from faster_rcnn.data.fingerprint import fingerprint_of
from faster_rcnn.data.loading import TrainingLoader
from faster_rcnn.data.reading import load_dataset, load_split
from faster_rcnn.errors import DivergedError, OptionError
from faster_rcnn.evaluation.coco import ExactDetections
from faster_rcnn.evaluation.detector import settings_for
from faster_rcnn.evaluation.matching import NamedImage
from faster_rcnn.evaluation.recall_of_files import recall_of
from faster_rcnn.evaluation.results import is_results_file, read_results
from faster_rcnn.evaluation.split import measure_split
from faster_rcnn.inference.inputs import to_pixels
from faster_rcnn.proposals.file import METADATA_KEY as PROPOSALS_KEY
from faster_rcnn.proposals.file import ImageProposals, image_key, load_proposals, save_proposals
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.settings.schema import Config, DataConfig
from faster_rcnn.structures import ImageSize, Proposals
from faster_rcnn.training import run_folder
from faster_rcnn.training.loop import run_training
from faster_rcnn.training.optimizer import build_optimizer
from faster_rcnn.training.report import figures
from faster_rcnn.training.running import Run, restore_state
from faster_rcnn.training.state import Progress, run_identity
from faster_rcnn.weights.foreign.layouts import refuse_values
from faster_rcnn.weights.foreign.state_dict import read_checkpoint
from faster_rcnn.weights.header import CHECKSUM_KEY
from faster_rcnn.weights.header import METADATA_KEY as MODEL_KEY
from faster_rcnn.weights.model_file import packed_model
from files import coco_folder, loaded_model, model_file, quantized, rgb
from fuzz import binaries, mutations
from fuzz.mutations import Mutate
from made_data import make_squares, training_config

MAX_PIXELS = DataConfig().max_pixels


class Target(NamedTuple):
    """A file that is damaged."""

    path: Path
    mutate: Mutate
    others: tuple[bytes, ...] = ()
    """Further valid contents of the file."""


class Door(NamedTuple):
    """Valid files in a folder, the files among them that are damaged in turn, and the function that reads them all."""

    targets: tuple[Target, ...]
    read: Callable[[], object]


def _model(folder: Path) -> Door:
    path = model_file(folder / "model.safetensors")
    contents = (path.read_bytes(), packed_model(quantized(loaded_model())))
    # As 0.1.0 wrote them: a checksum ends most readings early.
    unchecked = tuple(binaries.with_metadata(each, MODEL_KEY, _without_checksum) for each in contents)

    def read() -> None:
        detector = Detector.load(path, "cpu", "float32")
        detector.predict(rgb(), conf=0.0)
        settings_for(folder, detector.config.data)

    return Door((Target(path, binaries.mutated_safetensors(MODEL_KEY), (*unchecked, *unchecked)),), read)


def _without_checksum(text: str) -> str:
    header = json.loads(text)
    del header[CHECKSUM_KEY]
    return json.dumps(header)


def _read_dataset(folder: Path) -> None:
    """Read a data set as training and evaluation do, with their first steps."""
    dataset = load_dataset(folder, DataConfig())
    fingerprint_of(dataset)
    nothing = torch.zeros(0, dtype=torch.float64)
    none = ExactDetections(nothing.reshape(0, 4), nothing, nothing.long())
    for split in dataset.splits.values():
        measure_split(split, dict.fromkeys(range(len(split.records)), none))


_OUTLINES = (
    [[5, 5, 13, 5, 13, 13, 5, 13]],
    {"size": [40, 60], "counts": [205, *[8, 32] * 7, 8, 1907]},  # 8 x 8 pixels, column by column
    {"size": [40, 60], "counts": "]68P10000000000000cj1"},  # the same, as pycocotools packs it
)


def _coco(folder: Path) -> Door:
    boxes = [[(0, 1, 1, 10, 10), (1, 5, 5, 8, 8)], [(2, 0, 0, 60, 40), (1, 5, 5, 8, 8)], [], [(0, 2, 2, 9, 9)]]
    for split in ("train", "val"):
        coco_folder(folder, boxes, split=split)
    file = folder / "annotations/train.json"
    content = json.loads(file.read_text())
    content["annotations"][0] |= {"segmentation": [[1, 1, 11, 1, 11, 11]], "iscrowd": 1}
    for number, segmentation in enumerate(_OUTLINES, 1):  # which are boxes where there is no other
        content["annotations"][number] |= {"bbox": [], "segmentation": segmentation}
    content["info"], content["licenses"] = {"year": 2026}, []
    file.write_text(json.dumps(content))
    os.mkfifo(folder / "images/pipe")
    return Door((Target(file, mutations.mutated_json),), lambda: _read_dataset(folder))


def _images(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True)
    for name in names:
        Image.new("RGB", (100, 80)).save(folder / f"{name}.png")
    os.mkfifo(folder / "pipe")


_VOC_FILE = """<?xml version="1.0" encoding="utf-8"?>
<annotation><folder>JPEGImages</folder><filename>{}.png</filename><size><width>100</width><height>80</height>
<depth>3</depth></size><segmented>0</segmented>
<object><name>cat</name><pose>Left</pose><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax>
<ymax>40.5</ymax></bndbox></object>
<object><name>dog</name><difficult>1</difficult><bndbox><xmin>50</xmin><ymin>2</ymin><xmax>90</xmax><ymax>40</ymax>
</bndbox><part><name>head</name><bndbox><xmin>50</xmin><ymin>2</ymin><xmax>60</xmax><ymax>9</ymax></bndbox></part>
</object></annotation>
"""


def _voc(folder: Path) -> Door:
    _images(folder / "JPEGImages", "a", "b", "c")
    (folder / "Annotations").mkdir()
    for name in "abc":
        (folder / f"Annotations/{name}.xml").write_text(_VOC_FILE.format(name))
    lists = folder / "ImageSets/Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb\n")
    (lists / "val.txt").write_text("c\n")
    xml = Target(folder / "Annotations/a.xml", mutations.mutated_xml)
    return Door((xml, xml, xml, Target(lists / "train.txt", mutations.mutated_text)), lambda: _read_dataset(folder))


def _yolo(folder: Path) -> Door:
    for split, names in (("train", "ab"), ("val", "c")):
        _images(folder / "images" / split, *names)
        (folder / "labels" / split).mkdir(parents=True)
        for name in names:
            (folder / f"labels/{split}/{name}.txt").write_text("0 0.5 0.5 0.25 0.5\n1 0.1 0.1 0.3 0.1 0.3 0.3\n")
    listed = folder / "val.txt"
    listed.write_text("images/val/c.png\n")
    description = folder / "data.yaml"
    description.write_text("path: .\ntrain: [images/train]\nval: val.txt\nnc: 2\nnames:\n  0: cat\n  1: dog\n")
    others = (b"train: ../images/train\nval: images/val\nnames: ['cat', dog]\n",)
    label = Target(folder / "labels/train/a.txt", mutations.mutated_text)
    yaml_file = Target(description, mutations.mutated_yaml, others)
    return Door((yaml_file, yaml_file, label, Target(listed, mutations.mutated_text)), lambda: _read_dataset(folder))


def _csv(folder: Path) -> Door:
    _images(folder / "images", "a", "b", "c")
    rows = "a.png,10,20,30.5,40,cat\nb.png,1,2,3,4,dog\nb.png,5,6,70,8,cat\nc.png,,,,,\n"
    file = folder / "train.csv"
    file.write_text(f"image,xmin,ymin,xmax,ymax,label\n{rows}")
    (folder / "val.csv").write_text("image,xmin,ymin,xmax,ymax,label\nb.png,1,2,3,4,dog\n")
    semicolons = b'filename;width;height;class;xmin;ymin;xmax;ymax\n"b.png";100;80;"dog";1;2;3;4\n'
    return Door((Target(file, mutations.mutated_text, (semicolons,)),), lambda: _read_dataset(folder))


def _config(folder: Path) -> Door:
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump(Config().model_dump(mode="json"), sort_keys=False))
    short = b"preset: small\ntraining:\n  lr: 0.02\n  milestones: [0.5, 0.75]\nrpn:\n  anchor_sizes: [[8], [16]]\n"

    def read() -> None:
        config = resolve_config(None, file, (), {})
        run_folder.write_config(folder, config)
        assert resolve_config(None, folder / run_folder.CONFIG, (), {}) == config

    return Door((Target(file, mutations.mutated_yaml, (short, short)),), read)


def _set(folder: Path) -> Door:
    """The values of ``--set``, which are YAML; the mutated text is kept in a file here."""
    file = folder / "value"
    file.write_text("[[8], [16]]")
    keys = ("rpn.anchor_sizes", "backbone.body", "training.lr", "training.epochs", "image.mean", "data.val_seed")

    def read() -> None:
        value = " ".join(file.read_bytes().decode("utf-8", "surrogateescape").split())[:1000]
        for key in keys:
            with suppress(OptionError):
                resolve_config(None, None, [f"{key}={value}"], {})

    return Door((Target(file, mutations.mutated_yaml, (b"0.1", b"resnet18", b"[0.5, 0.5, 0.5]")),), read)


def _results(folder: Path) -> Door:
    data = coco_folder(folder / "data", [[(0, 1, 1, 10, 10), (1, 5, 5, 8, 8)], [(2, 0, 0, 60, 40)]])
    split = load_split(data, DataConfig(), None).splits["test"]
    images = [NamedImage(record.image_id, record.path, record.size) for record in split.records]
    records = [
        {"image_id": number, "category_id": label, "bbox": [1, 2, 3, 4.5], "score": 0.5}
        for number in (10, 20)
        for label in (1, 5)
    ]
    detection = {"box": [1, 2, 30, 40.5], "score": 0.75, "label": "cat", "label_id": 1}
    lines = [
        json.dumps({"image": f"images/{name}.png", "width": 60, "height": 40, "detections": [detection] * 2})
        for name in "12"
    ]
    file, line_file = folder / "results.json", folder / "results.jsonl"
    file.write_text(json.dumps(records))
    line_file.write_text(lines[0])
    several = "\n".join(lines).encode()

    def read() -> None:
        for path in (file, line_file):
            if is_results_file(path):
                results = read_results(path, images, split.classes)
                measure_split(split, dict(enumerate(results.detections))).to_json("test")

    def mutated_lines(random: Random, seeds: Any) -> bytes:
        return (
            mutations.mutated_text(random, [several])
            if random.random() < 0.5
            else mutations.mutated_json(random, seeds)
        )

    targets = (
        Target(file, mutations.mutated_json, (json.dumps({"detections": records}).encode(),)),
        Target(line_file, mutated_lines),
    )
    return Door(targets, read)


def _proposals(folder: Path) -> Door:
    data = coco_folder(folder / "data", [[(0, 1, 1, 10, 10)], [(2, 0, 0, 60, 40)]])
    split = load_split(data, DataConfig(), None).splits["test"]
    boxes, scores = torch.tensor([[0.0, 0, 10, 10], [5, 5, 50, 40]]), torch.tensor([0.9, 0.1])
    one = ImageProposals(ImageSize(40, 60), Proposals(boxes, scores), None)
    file = folder / "proposals.safetensors"
    save_proposals(file, "made", {image_key(data, record.path): one for record in split.records})
    mutate = binaries.mutated_safetensors(PROPOSALS_KEY)
    return Door((Target(file, mutate),), lambda: recall_of(split, load_proposals(file), data).to_json())


def _state(folder: Path) -> Door:
    config = training_config(epochs=1, batch=1)
    dataset = load_dataset(make_squares(folder / "data", {"train": 2}), config.data)
    model = build_model(config, len(dataset.classes))
    run = Run(
        folder=folder,
        config=config,
        classes=dataset.classes,
        model=model,
        trained=model,
        optimizer=build_optimizer(model, lr=0.1, momentum=0.9, weight_decay=1e-4),
        average=None,
        train=TrainingLoader(dataset.splits["train"], config.image, config.training, config.data),
        val=None,
        precision=torch.float32,
        progress=Progress(),
        identity=run_identity(config, fingerprint_of(dataset)),
    )

    def go_on() -> None:
        """Read a run as ``--resume`` does: to the end of the run, and to the numbers of its report."""
        run_training(run, lambda model, done: {}, (), lambda: 0)
        figures(run.progress.rows, run.progress.best_epoch)

    def read() -> None:
        found = run_folder.read_state(folder)
        assert found is not None
        restore_state(run, found)
        with suppress(DivergedError):  # of weights that are too large
            go_on()

    go_on()
    whole = (folder / run_folder.STATE).read_bytes()
    finished = torch.load(folder / run_folder.STATE)
    first_step = {"epoch": 0, "steps_of_epoch": 1, "step": 1, "images": 1, "rows": [], "best_epoch": -1}  # of two
    begun = {**finished, "progress": {**finished["progress"], **first_step}}
    run_folder.write_state(folder, begun)

    def mutated(random: Random, seeds: Sequence[bytes]) -> bytes:
        """A damaged archive, or a whole one with other numbers for the progress of the run."""
        if random.random() < 0.5:
            return binaries.mutated_archive(random, seeds)
        state, stream = random.choice((begun, finished)), io.BytesIO()
        with suppress(ValueError, RecursionError):  # what is no JSON any more
            state = {**state, "progress": json.loads(mutations.changed_json(random, json.dumps(state["progress"])))}
        torch.save(state, stream)
        return stream.getvalue()

    return Door((Target(folder / run_folder.STATE, mutated, (whole, whole)),), read)


def _pth(folder: Path) -> Door:
    tensors = OrderedDict(
        {"module.backbone.body.weight": torch.ones(4, 3), "module.head.bias": torch.zeros(2, dtype=torch.float16)}
    )
    content = {"model": tensors, "epoch": 3, "args": {"lr": 0.1}, "model_ema": dict(tensors)}
    file = folder / "model.pth"
    torch.save(content, file)
    old, bare = io.BytesIO(), io.BytesIO()
    torch.save(content, old, _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(2, 2), bare)
    plain = {"model": {"backbone.a": np.ones((2, 3), np.float32), "b": np.arange(3)}, "__author__": "x"}
    arrays = [pickle.dumps(plain, protocol) for protocol in (2, 5)]

    def read() -> None:
        refuse_values(file, read_checkpoint(file).tensors)

    others = (old.getvalue(), bare.getvalue(), *arrays)
    return Door((Target(file, binaries.mutated_archive, others),), read)


def _of_images(mutate: Mutate, *kinds: tuple[str, str, dict[str, Any]]) -> Callable[[Path], Door]:
    """Images of these formats and modes, written with these options; the name of the file is that of the first."""

    def prepare(folder: Path) -> Door:
        noise, seeds = Image.fromarray(rgb(48, 64)), []
        for kind, mode, options in kinds:
            stream = io.BytesIO()
            noise.convert(mode).save(stream, kind, **options)
            seeds.append(stream.getvalue())
        path = folder / f"image.{kinds[0][0].lower()}"
        path.write_bytes(seeds[0])

        def read() -> None:
            image_header(path, MAX_PIXELS)
            is_whole(path, MAX_PIXELS)
            to_pixels(path, "image", MAX_PIXELS)

        return Door((Target(path, mutate, tuple(seeds[1:])),), read)

    return prepare


_TURNED = bytes.fromhex("45786966000049492a0008000000010012010300010000000600000000000000")
"""EXIF of an image that is stored rotated: orientation 6."""

READERS: dict[str, Callable[[Path], Door]] = {
    "model": _model,
    "coco": _coco,
    "voc": _voc,
    "yolo": _yolo,
    "csv": _csv,
    "config": _config,
    "set": _set,
    "results": _results,
    "proposals": _proposals,
    "state": _state,
    "pth": _pth,
    "jpeg": _of_images(
        binaries.with_numbers_of(binaries.jpeg_numbers),
        ("JPEG", "RGB", {}),
        ("JPEG", "L", {"progressive": True}),
        ("JPEG", "CMYK", {"exif": _TURNED}),
    ),
    "png": _of_images(
        binaries.mutated_png,
        ("PNG", "RGB", {}),
        ("PNG", "P", {"transparency": 0}),
        ("PNG", "I;16", {}),
        ("PNG", "LA", {"exif": _TURNED}),
    ),
    "webp": _of_images(
        binaries.with_numbers_of(binaries.box_numbers),
        ("WEBP", "RGB", {}),
        ("WEBP", "RGBA", {"lossless": True, "exif": _TURNED}),
    ),
    "tiff": _of_images(
        binaries.with_numbers_of(binaries.tiff_numbers),
        ("TIFF", "RGB", {}),
        ("TIFF", "L", {"compression": "tiff_lzw"}),
        ("TIFF", "RGB", {"compression": "jpeg"}),
        ("TIFF", "1", {"compression": "group4"}),
        ("TIFF", "I;16", {}),
    ),
    "avif": _of_images(binaries.with_numbers_of(binaries.box_numbers), ("AVIF", "RGB", {"speed": 10})),
    "other images": _of_images(
        binaries.with_numbers_of(binaries.box_numbers),
        ("GIF", "P", {}),
        ("BMP", "RGB", {}),
        ("PPM", "RGB", {}),
        ("ICO", "RGBA", {"sizes": [(16, 16), (32, 32)]}),
        ("TGA", "RGB", {}),
        ("JPEG2000", "RGB", {}),
    ),
}
"""Functions that make the valid files of a reader in an empty folder, by its name."""
