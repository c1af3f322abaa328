from __future__ import annotations

import json
from pathlib import Path

import pytest

from faster_rcnn.cli.survey_files import SurveyFiles, refuse_inside
from faster_rcnn.errors import OptionError
from files import coco_folder
from made_surveys import TINY_BOXES, tiny_survey


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return coco_folder(tmp_path / "data", TINY_BOXES)


def all_files(folder: Path) -> SurveyFiles:
    return SurveyFiles(folder / "errors.csv", folder / "verdicts.json", folder / "pictures")


def test_every_file_that_is_asked_for_is_written(tmp_path: Path, data: Path) -> None:
    survey = tiny_survey(tmp_path / "data")
    files = all_files(tmp_path / "out")
    for _ in range(2):  # those of an earlier call may be replaced
        files.require(data, "test", None, [data])
        files.write(survey)
        (tmp_path / "out" / "pictures").rename(tmp_path / "out" / f"moved{_}")
    assert (tmp_path / "out" / "errors.csv").read_text().startswith("image,error,class")
    assert len(json.loads((tmp_path / "out" / "verdicts.json").read_text())["images"]) == 3
    missed = sum(each.verdict.missed for each in survey.truths)
    assert len(list((tmp_path / "out" / "moved1" / "missed").iterdir())) == missed > 0
    SurveyFiles().write(survey)  # nothing is asked for


@pytest.mark.parametrize("name", ["--label-errors", "--coco", "--folders"])
def test_nothing_is_written_into_the_data(name: str, data: Path) -> None:
    files = SurveyFiles(**{name[2:].replace("-", "_"): data / "new"})
    with pytest.raises(OptionError, match=rf"^E132 {name} .* lies in the labelled images"):
        files.require(data, "test", None, [data])
    refuse_inside("--json", "-", data)
    refuse_inside("--json", data.parent / "numbers.json", data)


@pytest.mark.parametrize("name", ["label_errors", "coco"])
def test_files_of_others_are_kept(name: str, tmp_path: Path, data: Path) -> None:
    foreign = tmp_path / "mine.json"
    foreign.write_text('{"annotations": []}')
    with pytest.raises(OptionError, match="was not written by this option"):
        SurveyFiles(**{name: foreign}).require(data, "test", None, [data])
    assert foreign.read_text() == '{"annotations": []}'


def test_a_folder_must_be_new(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    SurveyFiles(folders=folder).require(data, "test", None, [data])  # an empty one is as good
    (folder / "a.txt").write_text("mine")
    with pytest.raises(OptionError, match="is not empty"):
        SurveyFiles(folders=folder).require(data, "test", None, [data])


def test_options_that_would_do_nothing_are_refused(tmp_path: Path, data: Path) -> None:
    files = all_files(tmp_path)
    with pytest.raises(OptionError, match=r"^--label-errors .* is about one image; leave the option out"):
        files.refuse_idle("is about one image")
    with pytest.raises(OptionError, match="--against m names a second one"):
        files.require(data, "test", "m", [data])
    with pytest.raises(OptionError, match="those of train cannot be found"):
        files.require(data, "train", None, [data])
    SurveyFiles().refuse_idle("is fine")
