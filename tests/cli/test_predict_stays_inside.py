"""Whatever images are called and wherever results go: no input changes, and nothing but the outputs is written."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from faster_rcnn.cli.predict import predict
from faster_rcnn.errors import FasterRCNNError, ImageError
from faster_rcnn.images import size_of
from faster_rcnn.inference import loading, predictor
from faster_rcnn.inference.inputs import AnyImage, to_pixels
from faster_rcnn.inference.limits import Conf
from faster_rcnn.inference.pictures import MARK
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.inference.result import Prediction, Result
from faster_rcnn.inference.sources import find_images
from faster_rcnn.structures import Detections
from files import CLASSES, loaded_model

COMMON = ("a.jpg", "b.jpg", "a.bmp")
NAMES = (
    *("a.png", "a.tif", "a.tif.jpg", "a.bmp.jpg", "A.jpg", "b b.jpg", 'it\'s "b".png', "two\nlines.bmp"),
    *(
        "é.jpg",
        "e\u0301.jpg",
        "红枣🌴.png",
        "caf\udce9.jpg",
        "caf\udce9.tif",
        "-x.jpg",
        "[1].jpg",
        "%20.png",
        "CON.png",
    ),
    *("..jpg.png", "x" * 251 + ".bmp", "x" * 251 + ".tif", "é" * 125 + ".bmp", "found.jsonl.jpg", "\x1b[2J.png"),
)
FOLDERS = ("work", "work/sub", "work/sub/out", "other", "other/sub")
OUTS = (
    "out",
    "new/out",
    ".",
    "sub",
    "../other",
    "../other/sub",
    "../work/sub/../out",
    "way",
    "full",
    "{root}/absolute",
)
JSON = (None, "found.jsonl", "new/deep/found.jsonl", "out/found.jsonl", "out", "link.jsonl", os.devnull, "{image}")


@dataclass(frozen=True)
class Case:
    """Files of a user, and the arguments of the command; the working folder is ``work``."""

    images: tuple[tuple[str, str, str], ...]
    """Folder, name, and what it is: a file, a picture of an earlier run, a link, another name of a file elsewhere."""
    sources: tuple[int, ...]
    """Images by their number, each named as the next of the ways does."""
    ways: tuple[str, ...]
    out: str
    json: str | None


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Folders of images, and a command line about some of them."""
    kinds = st.sampled_from(("file", "file", "drawn", "link", "hard link"))
    names = st.one_of(st.sampled_from(COMMON), st.sampled_from(NAMES))
    image = st.tuples(st.sampled_from(FOLDERS), names, kinds)
    images = draw(st.lists(image, min_size=1, max_size=6, unique_by=lambda each: each[:2]))
    sources = draw(st.lists(st.integers(0, len(images) - 1), min_size=1, max_size=6))
    way = st.sampled_from(("relative", "dots", "absolute", "folder", "linked folder"))
    ways = draw(st.lists(way, min_size=len(sources), max_size=len(sources)))
    out, target = draw(st.sampled_from(OUTS)), draw(st.sampled_from(JSON))
    return Case(tuple(images), tuple(sources), tuple(ways), out, target)


class Stub(Predictor):
    """A predictor that finds one object in every image, at once."""

    def predict_each(
        self, images: Iterable[AnyImage], conf: Conf, max_detections: int | None = None
    ) -> Iterator[Prediction | ImageError]:
        for image in images:
            pixels = to_pixels(image, "image", 1000)
            one = Detections(torch.tensor([[1.0, 1.0, 5.0, 5.0]]), torch.tensor([0.5]), torch.tensor([0]))
            yield Prediction(Result(one, CLASSES, size_of(pixels), image), pixels)


def build(root: Path, case: Case) -> None:
    for folder in (*FOLDERS, "pool", "work/full"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "work/way").symlink_to("sub")  # a link to a folder: a source as well as a place for pictures
    (root / "work/link.jsonl").symlink_to("../pool/real.jsonl")
    for name in ("sub", "other", "work"):
        (root / "work/full" / name).symlink_to("../../pool")  # ways out of the folder of pictures
    for name in ("pool/real.jsonl", "pool/a.jpg", "other/notes.txt", "work/full/b.jpg"):
        (root / name).write_text("precious")
    for number, (folder, name, kind) in enumerate(case.images):
        pooled, path = root / "pool" / f"{number}{Path(name).suffix}", root / folder / name
        comment = {"comment": MARK} if kind == "drawn" and path.suffix == ".jpg" else {}
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path if kind in ("file", "drawn") else pooled, **comment)
        if kind == "link":
            path.symlink_to(pooled)
        elif kind == "hard link":
            path.hardlink_to(pooled)


def named(root: Path, folder: str, name: str, way: str) -> str:
    relative = os.path.relpath(folder, "work")
    inside_link = folder.startswith("work/sub")
    return {
        "relative": os.path.join(relative, name),
        "dots": os.path.join("..", "other", "..", folder, ".", name),
        "absolute": str(root / folder / name),
        "folder": relative,
        "linked folder": os.path.join("way" + folder.removeprefix("work/sub") if inside_link else relative, name),
    }[way]


def contents(root: Path) -> dict[str, str]:
    """What every path below is: a folder, a link to somewhere, or a file of some content."""
    found = {}
    for folder, _, files in os.walk(root):
        found[folder] = "folder"
        for path in (os.path.join(folder, name) for name in files):
            mode = os.lstat(path).st_mode
            found[path] = (
                os.readlink(path) if stat.S_ISLNK(mode) else hashlib.sha256(Path(path).read_bytes()).hexdigest()
            )
    return found


DRAWN_BEFORE = Case((("work", "a.jpg", "drawn"),), (0,), ("relative",), ".", None)
"""An image that is a picture of an earlier run, whose own picture would take its place."""


@example(case=DRAWN_BEFORE, runs=1)
@given(case=cases(), runs=st.sampled_from((1, 2)))
@settings(
    max_examples=100, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_only_the_outputs_are_written(case: Case, runs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = prepare(loaded_model(), torch.device("cpu"), torch.float32)
    monkeypatch.setattr(loading, "load_detector", lambda *_: detector)
    monkeypatch.setattr(predictor, "Predictor", Stub)
    with TemporaryDirectory() as folder, chdir(folder):
        root = Path(os.path.realpath(folder))
        build(root, case)
        with chdir(root / "work"):
            check(root, case, runs)


def check(root: Path, case: Case, runs: int) -> None:
    sources = [named(root, *case.images[n][:2], way) for n, way in zip(case.sources, case.ways, strict=True)]
    out = Path(case.out.format(root=root))
    target = None if case.json is None else case.json.format(image=sources[0], root=root)
    inputs = find_images(sources).names
    before = contents(root)
    own = [os.path.realpath(out), *([] if target is None else [os.path.realpath(target)])]
    try:
        for _ in range(runs):
            code = predict("m", sources, conf=0, max_det=None, precision="auto", out=out, json=target)
    except FasterRCNNError:
        assert contents(root) == before  # refused before anything was written
        return
    assert code in (0, 2)  # 2: a folder that holds no image beside others that do
    after = contents(root)
    for path, what in before.items():
        assert after.get(path) == what or path == os.path.realpath("link.jsonl") == own[-1], path
    for path in after.keys() - before.keys():
        assert any(f"{path}/".startswith(f"{each}/") or each.startswith(f"{path}/") for each in own), path
    drawn = {p for p in after.keys() - before.keys() if after[p] != "folder" and Path(p).suffix in (".jpg", ".png")}
    assert len(drawn) == len(inputs)
    if target is not None and target != os.devnull:
        lines = Path(target).read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["image"] for line in lines] == [str(Path(name)) for name in inputs]
