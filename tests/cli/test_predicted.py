"""Prediction in several processes: the files of one process, shown once."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from faster_rcnn.system.distributed import ALONE
from faster_rcnn.weights.model_file import save_model
from files import bytes_below, image_file, loaded_model, model_file
from several import in_processes
from several_commands import Shown, commanded, commanded_with_full_disk

pytestmark = pytest.mark.xdist_group("several processes")

PREDICT = ("predict", "tiny.safetensors", "photos", "--precision", "float32", "--device", "cpu", "--conf", "0")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model and five photos, of which the second cannot be read; it is that of process 1 of 2 and of 3."""
    monkeypatch.chdir(tmp_path)
    model_file(tmp_path / "tiny.safetensors")
    for number, name in enumerate(("a.png", "c.png", "d.jpg", "e.png")):
        image_file(tmp_path / "photos" / name, 40 + number, 60, seed=number)
    (tmp_path / "photos" / "b.png").write_bytes(b"no image")
    return tmp_path


def untimed(shown: Shown) -> Shown:
    """Without times and without the names of files that the runs were given."""
    code, out, err = shown
    return code, out, re.sub(r"[0-9.]+ s per image|in [0-9:]+\n|(lines|boxes) in \w+(\.jsonl)?", "...", err)


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("count", [2, 3])
def test_several_processes_write_and_show_what_one_does(count: int, folder: Path) -> None:
    alone = commanded(ALONE, [folder], *PREDICT, "--json", "one.jsonl", "--out", "one")
    assert (alone[0], alone[2].count("it is left out"), "4 images, " in alone[2]) == (2, 1, True)
    first, *others = in_processes(count, commanded, [folder], *PREDICT, "--json", "all.jsonl", "--out", "all")
    assert untimed(first) == untimed(alone)
    assert others == [(2, "", "")] * (count - 1)
    assert (folder / "all.jsonl").read_bytes() == (folder / "one.jsonl").read_bytes()
    assert content_of(folder / "all") == content_of(folder / "one")
    assert len(content_of(folder / "one")) == 4


def test_several_processes_save_what_one_does(folder: Path) -> None:
    formats = "--save", "coco,yolo,label-studio,cvat,crops"
    alone = commanded(ALONE, [folder], *PREDICT, "--out", "one", *formats)
    assert "coco, yolo, label-studio, cvat, crops in one" in alone[2]
    in_processes(2, commanded, [folder], *PREDICT, "--out", "all", *formats)
    saved = bytes_below(folder / "one")
    assert bytes_below(folder / "all") == saved
    assert {name.partition("/")[0] for name in saved} >= {"coco", "yolo", "label-studio.json", "cvat.xml", "crops"}
    assert sum(name.startswith("coco/images") for name in saved) == 4


def test_lines_on_standard_output_are_those_of_the_first_process(folder: Path) -> None:
    alone = commanded(ALONE, [folder], *PREDICT, "--json", "-")
    first, second = in_processes(2, commanded, [folder], *PREDICT, "--json", "-")
    assert first[1] == alone[1]
    assert [json.loads(line)["image"][-5:] for line in first[1].splitlines()] == ["a.png", "c.png", "d.jpg", "e.png"]
    assert second[1] == ""


def test_the_first_process_chooses_a_new_folder(folder: Path) -> None:
    (folder / "predictions").mkdir()
    assert [code for code, *_ in in_processes(3, commanded, [folder], *PREDICT)] == [2] * 3
    names = {"predictions", "predictions-2", "photos", "tiny.safetensors"}
    assert {path.name for path in folder.iterdir()} == names
    assert set(content_of(folder / "predictions-2")) == {"a.png", "c.png", "d.jpg", "e.png"}


def test_there_may_be_more_processes_than_images(folder: Path) -> None:
    line = [each.replace("photos", "photos/a.png") for each in PREDICT]
    assert commanded(ALONE, [folder], *line, "--json", "one.jsonl")[0] == 0
    found = in_processes(3, commanded, [folder], *line, "--json", "all.jsonl")
    assert [code for code, *_ in found] == [0] * 3
    assert (folder / "all.jsonl").read_bytes() == (folder / "one.jsonl").read_bytes()


def test_a_fault_of_one_process_ends_all_with_one_line(folder: Path) -> None:
    options = ("--json", "all.jsonl", "--out", "all")
    first, second = in_processes(2, commanded_with_full_disk, [folder], *PREDICT, *options)
    assert first[0] == second[0] == 5
    assert first[2].endswith("faster-rcnn: error: process 1 of 2: picture 3 cannot be written: no space left\n")
    assert second[1:] == ("", "")
    assert not (folder / "all.jsonl").exists()


def test_an_error_of_all_is_shown_once(folder: Path) -> None:
    first, second = in_processes(2, commanded, [folder], "predict", "tiny.safetensors", "nothing")
    assert (first[0], first[2].count("error: E122"), second) == (2, 1, (2, "", ""))


def test_standard_input_is_refused(folder: Path) -> None:
    first, second = in_processes(2, commanded, [folder], "predict", "tiny.safetensors", "-")
    assert "E122 the source - is read once, and 2 processes were started: name a file" in first[2]
    assert (first[0], second) == (2, (2, "", ""))


def test_other_images_of_another_machine_are_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(folder, other, dirs_exist_ok=True)
    (other / "photos" / "a.png").unlink()
    first, second = in_processes(2, commanded, [folder, other], *PREDICT)
    assert "process 1 of 2: not the same as in the first process: the names of the images; start all" in first[2]
    assert (first[0], second) == (2, (2, "", ""))
    assert not (folder / "predictions").exists()


def test_another_model_of_another_machine_is_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(folder, other, dirs_exist_ok=True)
    changed = loaded_model()
    next(changed.model.parameters()).data.add_(1)
    save_model(other / "tiny.safetensors", changed.model, changed.config, changed.classes)
    first, second = in_processes(2, commanded, [folder, other], *PREDICT)
    assert "process 1 of 2: not the same as in the first process: model; start all" in first[2]
    assert (first[0], second) == (2, (2, "", ""))
