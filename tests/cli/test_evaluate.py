from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from faster_rcnn import Detector
from faster_rcnn.cli.evaluate import evaluate
from faster_rcnn.cli.predict import predict
from faster_rcnn.errors import DatasetError, ImageError, ImageMemoryError, ModelFileError, OptionError
from faster_rcnn.evaluation import engine
from faster_rcnn.inference.inputs import to_pixels
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.inference.result import Result
from faster_rcnn.inference.tiles import Tiling
from faster_rcnn.structures import ClassMap, ImageSize
from faster_rcnn.system.distributed import ALONE
from faster_rcnn.weights.model_file import load_model, write_loaded
from faster_rcnn.weights.thresholds import OperatingPoint, Thresholds
from files import coco_folder, loaded_model, model_file, with_limit
from several import in_processes
from several_commands import commanded

BOXES: list[list[tuple[float, ...]]] = [[(0, 5, 5, 30, 20), (1, 0, 0, 12, 12)], [(2, 20.25, 10.5, 30.125, 25.0)], []]
"""Boxes of three images: a cat and a dog, a cow, nothing."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(model_file(tmp_path_factory.mktemp("model") / "tiny.safetensors"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return coco_folder(tmp_path / "data", BOXES)


def numbers(model: str, data: Path, tmp_path: Path, **options: Any) -> dict[str, Any]:
    """What evaluate writes as JSON."""
    target = tmp_path / "numbers.json"
    given: dict[str, Any] = {"split": None, "precision": "float32", **options}
    assert evaluate(model, data, json=str(target), **given) == 0
    found: dict[str, Any] = json.loads(target.read_text())
    return found


def test_the_table_goes_to_standard_output(model: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(model, data, split="test", precision="float32", json=None) == 0
    out, err = capsys.readouterr()
    assert out.startswith("AP     ")
    assert "3 images, 3 boxes to find" in out
    assert "test: COCO JSON from test.json: 3 images (1 without objects, kept), 3 boxes: " in err
    assert "images of test  3/3" in err


def test_json_is_alone_on_standard_output(model: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(model, data, split=None, precision="float32", json="-") == 0
    found = json.loads(capsys.readouterr().out)
    twelve = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]
    details = ["intervals", "VOC2007", "VOC2012", "thresholds", "sizes", "confusion", "calibration", "tide"]
    assert list(found) == [*twelve, "per_class", "images", "split", *details, "device", "precision", "threads"]
    assert (found["device"], found["precision"], found["threads"]) == ("cpu", "float32", 1)
    assert (found["images"], found["split"]) == (3, "test")
    assert {name: one["truths"] for name, one in found["per_class"].items()} == {"cat": 1, "dog": 1, "cow": 1}
    assert found["APl"] is None  # no box is larger than 96 x 96


def near(result: Result) -> list[tuple[float, ...]]:
    """Truths beside the first, third and fifth detection, as rows (label, x, y, width, height)."""
    boxes = result.boxes[:6:2].floor().tolist()
    labels = result.labels[:6:2].tolist()
    return [(label, x1 + 0.5, y1, x2 - x1, y2 - y1) for label, (x1, y1, x2, y2) in zip(labels, boxes, strict=True)]


def test_what_predict_wrote_measures_as_the_model_itself(model: str, tmp_path: Path) -> None:
    """The truth is near some of the detections, so that the numbers are none that anything would give."""
    data = coco_folder(tmp_path / "data", [[], [], []])
    predictor = Predictor(prepare(loaded_model(), torch.device("cpu"), torch.float32))
    found = [predictor.predict_one(data / "images" / f"{number}.png", conf=0.0) for number in (1, 2, 3)]
    truth = [near(one) for one in found]
    coco_folder(data, truth)
    lines, results = tmp_path / "found.jsonl", tmp_path / "results.json"
    sources = [str(data / "images")]
    predict(model, sources, conf=0.0, max_det=None, precision="float32", out=None, json=str(lines))
    results.write_text(json.dumps([row for number, one in enumerate(found, 1) for row in one.to_coco(10 * number)]))
    expected = numbers(model, data, tmp_path)
    assert 0 < expected["AP"] < 1
    expected |= {"device": None, "precision": None, "threads": None}  # a file does not say how it was made
    for file in (lines, results):
        assert _without_scores(numbers(str(file), data, tmp_path, precision="auto")) == _without_scores(expected)


def _without_scores(found: dict[str, Any]) -> dict[str, Any]:
    """The numbers without those that are scores, of which a file has fewer digits."""
    classes = {
        name: {key: value for key, value in each.items() if key not in ("score", "ECE")}
        for name, each in found["per_class"].items()
    }
    return {**found, "per_class": classes, "calibration": None}


def test_perfect_detections_are_perfect(data: Path, tmp_path: Path) -> None:
    truth = json.loads((data / "annotations" / "test.json").read_text())["annotations"]
    results = tmp_path / "results.json"
    results.write_text(json.dumps([{**one, "score": 0.5} for one in truth]))
    found = numbers(str(results), data, tmp_path, precision="auto")
    assert (found["AP"], found["AP75"], found["AR1"]) == pytest.approx((1.0, 1.0, 1.0))


def by_pycocotools(truth: Path, results: Path) -> list[float]:
    """The twelve numbers of the original."""
    coco = COCO(str(truth))
    oracle = COCOeval(coco, coco.loadRes(str(results)), "bbox")
    oracle.evaluate()
    oracle.accumulate()
    oracle.summarize()
    numbers: list[float] = oracle.stats.tolist()
    return numbers


def test_boxes_are_measured_to_their_last_digit(tmp_path: Path) -> None:
    """Half a box has an IoU of 0.5 with it: the last bit decides on which side of the threshold it is."""
    truth = [[(0, 0.1 + 0.7 * step, 0.3 + 0.3 * step, 40.1, 33.2)] for step in range(20)]
    data = coco_folder(tmp_path / "data", truth, size=ImageSize(60, 80))
    halves = [
        {"image_id": 10 * number, "category_id": 1, "bbox": [x, y, width, height / 2], "score": number / 20}
        for number, [(_, x, y, width, height)] in enumerate(truth, 1)
    ]
    results = tmp_path / "results.json"
    results.write_text(json.dumps(halves))
    found = numbers(str(results), data, tmp_path, precision="auto")
    expected = [None if value == -1 else value for value in by_pycocotools(data / "annotations/test.json", results)]
    assert list(found.values())[:12] == expected
    assert 0 < found["AR1"] < 0.1


def test_results_of_others_measure_as_pycocotools_does(
    data_folder: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the whole command: reading the data must not change a bit of a box."""
    data = data_folder("coco128")
    file = data / "annotations" / "train.json"
    generator = torch.Generator().manual_seed(0)
    results = []
    for one in json.loads(file.read_text())["annotations"]:
        for spread in (0.0, 0.1, 0.2):
            x, y, width, height = one["bbox"]
            a, b, c, d = (torch.randn(4, generator=generator) * spread).tolist()
            box = [x + a * width, y + b * height, max(1.0, width * (1 + c)), max(1.0, height * (1 + d))]
            box = [round(number, 2) for number in box] if spread else one["bbox"]
            score = round(torch.rand((), generator=generator).item(), 2)
            results.append(
                {"image_id": one["image_id"], "category_id": one["category_id"], "bbox": box, "score": score}
            )
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    found = numbers(str(path), data, tmp_path, split="train", precision="auto")
    assert list(found.values())[:12] == by_pycocotools(file, path)


def test_a_class_that_the_model_lacks_is_an_error(model: str, tmp_path: Path) -> None:
    data = coco_folder(tmp_path / "data", BOXES, ClassMap(("cat", "dog", "horse"), (1, 5, 7)))
    message = (
        r"^E123 .*tiny.safetensors lacks 1 class of test: horse. It has 3 classes \(cat, dog, cow\); the "
        r"data has 3 classes \(cat, dog, horse\)\. .*faster-rcnn train DATA --weights .*tiny.safetensors$"
    )
    with pytest.raises(ModelFileError, match=message):
        evaluate(model, data, split=None, precision="float32", json=None)


def test_classes_are_matched_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: Path, model: str
) -> None:
    """The same truths under other ids, in another order, and a class less: the same detections count."""
    other = ClassMap(("cow", "dog", "cat"), (2, 3, 4))
    renamed = [[(2 - row[0], *row[1:]) for row in rows] for rows in BOXES]
    reordered = coco_folder(tmp_path / "other", renamed, other)
    expected = numbers(model, data, tmp_path)
    capsys.readouterr()
    found = numbers(model, reordered, tmp_path)
    assert found["AP"] == pytest.approx(expected["AP"], abs=1e-12)
    assert found["per_class"] == expected["per_class"]
    ids = "cow 7 -> 2, dog 5 -> 3, cat 1 -> 4"
    assert (
        f"class ids differ between detector and data, so classes are matched by name: {ids}" in capsys.readouterr().err
    )

    fewer = coco_folder(tmp_path / "fewer", [[(0, 20, 10, 30, 25)]], ClassMap(("cow",), (7,)))
    found = numbers(model, fewer, tmp_path)
    assert list(found["per_class"]) == ["cow"]
    left_out = "the detector has 2 classes that the data lacks; their detections are left out: cat, dog"
    assert left_out in capsys.readouterr().err


def failing_for(name: str, decode: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """The decoder, but for one file, as if it had been damaged after the data were checked."""

    def decoded(image: Path, *arguments: Any) -> torch.Tensor:
        if image.name == name:
            raise ImageError(f"cannot decode {image}: broken", code="E105")
        return decode(image, *arguments)

    return decoded


def test_an_image_that_cannot_be_decoded_is_left_out_with_its_truth(
    model: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("faster_rcnn.inference.predictor.to_pixels", failing_for("1.png", to_pixels))
    found = numbers(model, data, tmp_path)
    assert found["images"] == 2
    assert {name: one["truths"] for name, one in found["per_class"].items()} == {"cat": 0, "dog": 0, "cow": 1}
    assert "warning: E105 cannot decode" in capsys.readouterr().err


def test_memory_of_other_programs_never_changes_a_metric(
    model: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(image: Path, *_: Any) -> torch.Tensor:
        raise MemoryError

    monkeypatch.setattr("faster_rcnn.inference.predictor.to_pixels", short)
    with pytest.raises(ImageMemoryError, match=r"E120 .*\.png needs more memory than there is"):
        numbers(model, data, tmp_path)


def test_many_images_that_cannot_be_decoded_stop(model: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(image: Path, *_: Any) -> torch.Tensor:
        raise ImageError(f"cannot decode {image}: broken", code="E105")

    monkeypatch.setattr("faster_rcnn.inference.predictor.to_pixels", broken)
    with pytest.raises(DatasetError, match=r"^E105 2 of 3 images of test cannot be decoded, more than the 5 %"):
        evaluate(model, data, split=None, precision="float32", json=None)


def test_an_absent_split_names_those_that_exist(model: str, data: Path) -> None:
    with pytest.raises(OptionError, match="has no split 'val'; it has: test"):
        evaluate(model, data, split="val", precision="float32", json=None)


def test_options_without_effect_on_finished_detections_are_reported(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.json"
    results.write_text("[]")
    evaluate(
        str(results),
        data,
        split=None,
        precision="bfloat16",
        json="-",
        proposals=tmp_path / "p",
        tile=9,
        settings=["roi.nms_iou=0.6"],
        iou=0.0,
        agnostic_nms=True,
        batch=2,
    )
    out, err = capsys.readouterr()
    assert json.loads(out)["AP"] == 0.0
    assert "warning: --precision bfloat16 changes nothing" in err
    assert f"warning: --proposals {tmp_path / 'p'} changes nothing" in err
    for given in ("--tile 9", "--set roi.nms_iou=0.6", "--iou 0.0", "--agnostic-nms", "--batch 2"):
        assert f"warning: {given} changes nothing" in err
    assert "--device" not in err


def test_some_classes_alone_are_measured(model: str, tmp_path: Path) -> None:
    """Each class is measured as among all classes, so that AP is the mean of those that were chosen."""
    detector = Detector.load(model, "cpu", "float32")
    blank = coco_folder(tmp_path / "data", [[], [], []])
    found = [detector.predict(blank / "images" / f"{number}.png", 0.0, classes="cat,cow") for number in (1, 2, 3)]
    data = coco_folder(blank, [near(one) for one in found])
    measured = numbers(model, data, tmp_path, classes="cat,cow")
    assert set(measured["per_class"]) == {"cat", "cow"}
    values = [each["AP"] for each in measured["per_class"].values() if each["truths"]]
    assert measured["AP"] == pytest.approx(sum(values) / len(values))
    assert 0 < measured["AP"] < 1
    for line in ("cat,bird", "bird"):
        with pytest.raises(OptionError, match="E125 classes: the detector has no class 'bird'"):
            numbers(model, data, tmp_path, classes=line)


def test_nms_is_that_of_the_options(model: str, tmp_path: Path) -> None:
    """The truths are near detections of two classes, most of which other NMS takes away for those of the third."""
    detector = Detector.load(model, "cpu", "float32")
    data = coco_folder(tmp_path / "data", [[], [], []])
    found = [detector.predict(data / "images" / f"{number}.png", 0.0, classes="cat,cow") for number in (1, 2, 3)]
    data = coco_folder(data, [near(one) for one in found])
    usual, other = numbers(model, data, tmp_path), numbers(model, data, tmp_path, settings=["roi.nms_iou=0.1"])
    assert numbers(model, data, tmp_path, iou=0.1) == other != usual
    assert numbers(model, data, tmp_path, iou=0.1, agnostic_nms=True) != other


def test_the_batch_changes_no_number(model: str, data: Path, tmp_path: Path) -> None:
    batched, alone = numbers(model, data, tmp_path, batch=3), numbers(model, data, tmp_path)
    assert _without_scores(batched) == _without_scores(alone)  # scores are equal to 1e-5
    with pytest.raises(OptionError, match="E125 batch 0: 1 image or more are detected together"):
        numbers(model, data, tmp_path, batch=0)


def test_settings_of_inference_are_measured(model: str, tmp_path: Path) -> None:
    """The truths are a detector's own best detections; with one detection of an image, some of them are lost."""
    data = coco_folder(tmp_path / "data", [[], [], []])
    found = [Detector.load(model, "cpu", "float32").predict(data / "images" / f"{name}.png", 0.0) for name in (1, 2, 3)]
    data = coco_folder(tmp_path / "data", [near(one) for one in found])
    plain = numbers(model, data, tmp_path)
    one_each = numbers(model, data, tmp_path, settings=["roi.max_detections=1"])
    assert one_each["AR100"] < plain["AR100"]
    assert one_each["AR100"] == one_each["AR1"]


def test_images_are_measured_in_tiles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The truth is what is found in tiles, so that it is found again, and is not found without them."""
    data = coco_folder(tmp_path / "data", [[]])
    predictor = Predictor(prepare(loaded_model(), torch.device("cpu"), torch.float32), tiling=Tiling(30, 0.2))
    coco_folder(data, [near(predictor.predict_one(data / "images" / "1.png", conf=0.0))])
    # The images, 60 x 40, are larger than training's limit, which is not that of tiles.
    loaded, file = with_limit(loaded_model(), 2000), tmp_path / "m.safetensors"
    write_loaded(file, loaded)
    with pytest.raises(
        DatasetError, match=r"E115 no image of test can be used: .*raise it: --set data\.max_pixels=2400"
    ):
        numbers(str(file), data, tmp_path)
    in_tiles = numbers(str(file), data, tmp_path, tile=30)
    assert "tiles of 30x30 pixels that share 0.2 of their side" in capsys.readouterr().err
    as_a_whole = numbers(str(model_file(tmp_path / "n.safetensors")), data, tmp_path)
    assert in_tiles["AP50"] > as_a_whole["AP50"]


def test_tiles_and_proposals_of_whole_images_exclude_each_other(model: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"E125 --tile 30: the proposals of .* are of whole images"):
        numbers(model, data, tmp_path, tile=30, proposals=tmp_path / "p")
    with pytest.raises(OptionError, match="E125 tile 0"):
        numbers("no model", data, tmp_path, tile=0)


def test_a_folder_as_json_file_is_refused_first(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="is a folder; name a file"):
        evaluate("no model", tmp_path, split=None, precision="auto", json=str(tmp_path))


@pytest.mark.xdist_group("several processes")
def test_several_processes_write_and_show_what_one_does(model: str, data: Path, tmp_path: Path) -> None:
    line = ("evaluate", model, str(data), "--precision", "float32", "--device", "cpu")
    alone = commanded(ALONE, [tmp_path], *line, "--json", "numbers.json")
    of_one = (tmp_path / "numbers.json").read_bytes()
    first, second = in_processes(2, commanded, [tmp_path], *line, "--json", "numbers.json")
    assert (tmp_path / "numbers.json").read_bytes() == of_one
    assert (first[:2], second) == (alone[:2], (0, "", ""))
    assert [each for each in first[2].splitlines() if " in 0:" not in each] == [
        each for each in alone[2].splitlines() if " in 0:" not in each
    ]
    # Finished detections are measured, too.
    (tmp_path / "results.json").write_text("[]")
    first, second = in_processes(2, commanded, [tmp_path], "evaluate", "results.json", str(data))
    assert (first[0], first[1].startswith("AP "), second) == (0, True, (0, "", ""))


@pytest.mark.xdist_group("several processes")
def test_other_labelled_images_of_another_machine_are_refused(model: str, data: Path, tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    for place in (own, other):
        shutil.copytree(data, place / "data")
    [file] = (other / "data" / "annotations").glob("*.json")
    content = json.loads(file.read_text())
    content["annotations"][0]["bbox"][2] += 1
    file.write_text(json.dumps(content))
    first, second = in_processes(2, commanded, [own, other], "evaluate", model, "data")
    assert "process 1 of 2: not the same as in the first process: the labelled images; start all" in first[2]
    assert (first[0], second) == (2, (2, "", ""))


def test_a_model_is_measured_against_another_one(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other one finds only the best detection of each image; each has the AP that it has alone."""
    detector = Detector.load(model, "cpu", "float32")
    blank = coco_folder(tmp_path / "data", [[], [], []])
    found = [detector.predict(blank / "images" / f"{number}.png", 0.0) for number in (1, 2, 3)]
    data = coco_folder(blank, [near(one) for one in found])
    other = tmp_path / "other.safetensors"
    Detector.load(model, settings=["roi.max_detections=1"]).save(other)
    results = tmp_path / "results.json"
    results.write_text(json.dumps([row for number, one in enumerate(found, 1) for row in one.to_coco(10 * number)]))
    own, less = numbers(model, data, tmp_path), numbers(str(other), data, tmp_path)
    both = numbers(model, data, tmp_path, against=str(other))
    against = both.pop("against")
    assert {**both, "per_class": None} == {**{name: own[name] for name in both}, "per_class": None}
    assert [each["AP"] for each in both["per_class"].values()] == [each["AP"] for each in own["per_class"].values()]
    assert (against["model"], against["AP"]) == (str(other), less["AP"])
    assert against["changes"]["AP"]["change"] == pytest.approx(own["AP"] - less["AP"])
    assert f"{model} is better than {other} by " in capsys.readouterr().out
    same = numbers(model, data, tmp_path, against=str(results))
    assert same["against"]["changes"]["AP"]["change"] == 0
    assert same["against"]["device"] is None
    one_class = numbers(str(results), data, tmp_path, against=str(other), classes="cow")
    assert set(one_class["per_class"]) == set(one_class["against"]["per_class"]) == {"cow"}


def test_the_other_model_has_the_classes_of_the_data(model: str, data: Path, tmp_path: Path) -> None:
    other = model_file(tmp_path / "other.safetensors", ClassMap(("cat", "bird"), (1, 2)))
    with pytest.raises(ModelFileError, match=rf"E123 {other} lacks 2 classes of test: dog, cow"):
        numbers(model, data, tmp_path, against=str(other))


def test_the_page_holds_the_details(model: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(model, data, precision="float32", out=tmp_path / "page") == 0
    out, err = capsys.readouterr()
    assert f"report: {tmp_path / 'page' / 'report.html'}" in err
    assert "VOC07" in out
    page = (tmp_path / "page" / "report.html").read_text()
    for title in ("How sure these numbers are", "Precision and recall", "Sizes", "Confusion", "Kinds of errors"):
        assert f"<h2>{title}</h2>" in page
    assert page.count("<svg") == 2
    assert "http" not in page
    with pytest.raises(OptionError, match=r"^E132 --out .*page holds a report\.html already; name another folder"):
        evaluate(model, data, out=tmp_path / "page")
    with pytest.raises(OptionError, match=r"^E125 --out .*other: it is for one detector; leave --against out"):
        evaluate(model, data, out=tmp_path / "other", against=model)
    assert not (tmp_path / "other").exists()


def test_the_numbers_hold_intervals_and_the_points_of_each_class(model: str, data: Path, tmp_path: Path) -> None:
    found = numbers(model, data, tmp_path)
    assert set(found["intervals"]) == {"AP", "AP50", "AP75"}
    for name, each in found["intervals"].items():
        assert each["lower"] <= found[name] <= each["upper"]
        assert (each["confidence"], each["samples"]) == (0.95, 1000)
    for each in found["per_class"].values():
        assert set(each) >= {"precision", "recall", "F1", "score", "VOC2007", "VOC2012", "sizes"}
    assert found["confusion"]["classes"][-1] == "background"
    assert set(found["tide"]["counts"]) == {"Cls", "Loc", "Both", "Dupe", "Bkg", "Miss"}
    assert len(found["calibration"]["bins"]) == 10


def test_thresholds_are_kept_and_used(
    model: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OptionError, match=r"^E125 conf auto: the model holds no thresholds; give a number, or store"):
        evaluate(model, data, precision="float32", conf="auto")
    kept = tmp_path / "kept.safetensors"
    best = numbers(model, data, tmp_path, keep_thresholds=kept)
    same = numbers(str(kept), data, tmp_path, conf="auto")
    assert same["thresholds"] == "--conf auto"
    for name, each in best["per_class"].items():
        assert same["per_class"][name]["F1"] == each["F1"]
    half = numbers(model, data, tmp_path, conf=1.0)
    assert {each["recall"] for each in half["per_class"].values()} == {0.0}
    with pytest.raises(OptionError, match=r"^E125 --conf auto: it is for one detector; leave --against out"):
        evaluate(str(kept), data, conf="auto", against=model)
    detector = Detector(str(kept), "cpu", "float32")
    image = next(data.rglob("*.png"))
    found = detector.predict(image, "auto")
    scores = detector._detector.thresholds
    assert scores is not None
    assert all(
        each.score >= min(point.score for point in scores.points[each.label] or [])
        for each in found
        if scores.points[each.label]
    )
    assert predict(str(kept), [str(image)], conf="precision=0.9", json=str(tmp_path / "found.json")) == 0
    assert "conf precision=0.9: lowest scores by 3 images of test" in capsys.readouterr().err


def test_thresholds_that_cannot_be_kept_are_refused_before_the_data_are_read(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are no data here at all: reading them would fail first."""
    monkeypatch.setattr(engine, "hotcoco", None)
    with pytest.raises(OptionError, match=r"^E125 --keep-thresholds needs hotcoco, and a detector with a second"):
        evaluate(model, tmp_path / "absent", keep_thresholds=tmp_path / "kept.safetensors")


def test_classes_that_are_not_measured_keep_their_thresholds(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded, kept, again = loaded_model(), tmp_path / "kept.safetensors", tmp_path / "again.safetensors"
    points = ((OperatingPoint(0.3, 0.5, 0.9),),) * 3
    write_loaded(kept, replace(loaded, thresholds=Thresholds("val", 5, points)))
    numbers(str(kept), data, tmp_path, classes="cat", keep_thresholds=again)
    assert load_model(again).thresholds == Thresholds("test", 3, points)
    assert "thresholds of cat, dog, cow stay those that the model has: test gives none" in capsys.readouterr().err


def test_two_options_never_name_one_file(model: str, data: Path, tmp_path: Path) -> None:
    """It is refused before the work: a page would replace the numbers, and a model the page."""
    file, page = tmp_path / "x", tmp_path / "out" / "report.html"
    with pytest.raises(OptionError, match=r"^E132 --keep-thresholds .* is the file of --json, too, and would"):
        evaluate(model, data, json=str(file), keep_thresholds=file)
    with pytest.raises(OptionError, match=r"^E132 --out .*report.html is the file of --json, too, and would"):
        evaluate(model, data, json=str(page), out=page.parent)
    assert not file.exists()
    assert not page.parent.exists()
