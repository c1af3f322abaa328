from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from faster_rcnn import Detector
from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.serving.ray_batch import RayBatch
from files import image_file, model_file, rgb


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_file(tmp_path_factory.mktemp("model") / "tiny.safetensors")


def objects(*values: object) -> np.ndarray[Any, np.dtype[Any]]:
    """A column of objects, as Ray Data has them for bytes."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def expected(detector: Detector, path: Path, conf: float) -> list[tuple[object, ...]]:
    found = detector.predict(path, conf).to_json()
    return [
        (one["label"], one["label_id"], *map(np.float32, (one["score"], *one["box"]))) for one in found["detections"]
    ]


def rows_of(table: Any, name: str) -> list[tuple[object, ...]]:
    columns = ("label", "label_id", "score", "x1", "y1", "x2", "y2")
    return [tuple(row[each] for each in columns) for row in table.to_pylist() if row["image"] == name]


def test_a_batch_of_bytes_gives_what_the_detector_predicts(model: Path, tmp_path: Path) -> None:
    paths = [image_file(tmp_path / f"{number}.png", 40 + number, 60, seed=number) for number in range(3)]
    batch = {"path": objects(*map(str, paths)), "bytes": objects(*(path.read_bytes() for path in paths))}
    table = RayBatch(model, 0.2, precision="float32", device="cpu")(batch)
    detector = Detector.load(model, "cpu", "float32")
    for number, path in enumerate(paths):
        assert rows_of(table, str(path)) == expected(detector, path, 0.2)
        assert len(rows_of(table, str(path))) > 1
        sizes = {(row["width"], row["height"]) for row in table.to_pylist() if row["image"] == str(path)}
        assert sizes == {(60, 40 + number)}


def test_arrays_give_what_files_give(model: Path, tmp_path: Path) -> None:
    path = image_file(tmp_path / "a.png")
    found = RayBatch(str(model), precision="float32")
    of_array = found({"path": objects("a"), "image": np.stack([rgb()])})
    of_bytes = found({"path": objects("a"), "bytes": objects(path.read_bytes())})
    assert of_array.equals(of_bytes)


def test_every_image_is_accounted_for(model: Path, tmp_path: Path) -> None:
    good = image_file(tmp_path / "good.png").read_bytes()
    batch = {"path": objects("a.jpg", "b.png", "c.png"), "bytes": objects(b"no image", good, None)}
    found = RayBatch(model, conf=1.0)(batch).to_pylist()
    assert [(row["image"], row["error"], row["width"], row["label"]) for row in found] == [
        ("a.jpg", "E105 cannot decode a.jpg: it is not an image of a known format", None, None),
        ("b.png", None, 60, None),  # no score is 1, so nothing is found
        ("c.png", "E104 c.png has no bytes: its file was not read", None, None),
    ]
    assert RayBatch(model)({"path": objects(), "bytes": objects()}).num_rows == 0


def test_damage_that_the_decoder_skips_is_a_warning(model: Path, tmp_path: Path) -> None:
    whole = image_file(tmp_path / "a.jpg", 80, 120).read_bytes()
    batch = {"path": objects("s3://photos/a.jpg"), "bytes": objects(whole[: len(whole) * 3 // 4] + b"\xff\xd9")}
    [*rows] = RayBatch(model, max_det=1)(batch).to_pylist()
    assert [row["error"] for row in rows] == [None]
    assert rows[0]["warning"].startswith("s3://photos/a.jpg may be damaged: ")


def test_options_are_those_of_predict(model: Path, tmp_path: Path) -> None:
    image = image_file(tmp_path / "a.png", 100, 150)
    options: dict[str, Any] = {"classes": "dog", "iou": 0.9, "agnostic_nms": True}
    table = RayBatch(model, 0.1, 7, 64, 0.3, **options, settings=["rpn.proposals_after_nms=20"])(
        {"path": objects("a"), "bytes": objects(image.read_bytes())}
    )
    detector = Detector.load(model, settings=["rpn.proposals_after_nms=20"])
    found = detector.predict(image, 0.1, 7, 64, 0.3, **options)
    assert table["label"].to_pylist() == found.names
    assert table["score"].to_pylist() == found.scores.tolist()
    assert len(found) == 7


def test_an_error_stands_for_an_image_that_was_not_read(model: Path, tmp_path: Path) -> None:
    path = image_file(tmp_path / "a.png")
    table = RayBatch(model, max_det=1).predict(
        ["x", "a", "y"], [ImageError("x is gone"), path, ImageError("y is, too")]
    )
    assert table["error"].to_pylist() == ["x is gone", None, "y is, too"]


@pytest.mark.parametrize("columns", [("bytes",), ("path",), ("path", "url"), ()])
def test_other_columns_are_refused_with_the_remedy(model: Path, columns: tuple[str, ...]) -> None:
    with pytest.raises(
        OptionError, match=r"^E125 a batch has the columns .*; it needs path and bytes, or path and image"
    ):
        RayBatch(model)({each: objects(b"") for each in columns})


def test_bad_options_are_refused_before_the_model_is_read() -> None:
    for options in ({"conf": 2.0}, {"tile": 0}, {"iou": -1.0}, {"max_det": 0}):
        with pytest.raises(OptionError, match=r"^E125 "):
            RayBatch("no model", **options)


def test_threads_are_those_of_the_actor(model: Path) -> None:
    before = torch.get_num_threads()
    try:
        RayBatch(model, threads=before + 1)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
