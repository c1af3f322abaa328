"""Results go where they belong: no input is overwritten, and what cannot be written stops the work before it begins."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from faster_rcnn.cli.main import main
from faster_rcnn.cli.outputs import json_lines, refuse_same_file, require_file, require_folder, require_json, write_json
from faster_rcnn.errors import MachineError, OptionError
from faster_rcnn.system.streams import ClosedStream


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with labelled images in ``data``; their content does not matter here."""
    monkeypatch.chdir(tmp_path)
    for name in ("images/a.jpg", "annotations/test.json", "labels/a.txt", "a.xml", "data.yaml", "found.json"):
        (Path("data") / name).parent.mkdir(parents=True, exist_ok=True)
        (Path("data") / name).write_text("{}")
    Path("data/annotations/test.json").write_text('{"images": [], "annotations": [], "categories": []}')
    return Path("data")


@pytest.mark.parametrize(
    "name", ["images/a.jpg", "annotations/test.json", "labels/a.txt", "a.xml", "data.yaml", "../data/data.yaml", "link"]
)
def test_a_file_of_the_data_is_never_an_output(data: Path, name: str) -> None:
    (data / "link").symlink_to("a.xml")
    with pytest.raises(OptionError, match=rf"E132 --json data/{name} is what this command reads .*name another file"):
        require_file("--json", data / name, ["absent", None, data])


def test_an_earlier_result_beside_the_data_may_be_replaced(data: Path) -> None:
    for name in ("found.json", "new.json", "labels/new.txt"):
        require_file("--json", data / name, [data])


def test_the_model_or_another_file_that_is_read_is_never_an_output(data: Path) -> None:
    Path("model.safetensors").touch()
    Path("same.safetensors").hardlink_to("model.safetensors")
    for name in ("model.safetensors", "./model.safetensors", "same.safetensors"):
        with pytest.raises(OptionError, match="is what this command reads"):
            require_file("--out", name, [Path("model.safetensors")])
    require_file("--out", "other.safetensors", [Path("model.safetensors")])


def test_one_file_is_never_the_output_of_two_options(data: Path) -> None:
    Path("link").symlink_to("data")
    for name in ("data/new.json", "data/../data/new.json", "link/new.json"):
        with pytest.raises(OptionError, match=rf"^E132 --out {name} is the file of --json, too, and would overwrite"):
            refuse_same_file({"--json": "data/new.json", "--plot": None, "--out": Path(name)})
    refuse_same_file({"--json": "a.json", "--out": Path("b.json"), "--plot": None, "--coco": None})
    refuse_same_file({"--json": "/dev/null", "--out": Path("/dev/null")})
    refuse_same_file({"--json": "-", "--coco": "-"})


@pytest.mark.parametrize(
    "line",
    [
        "recall data --proposals p.bin --json same.svg --plot same.svg",
        "proposals data --method selective-search --json same --out same",
        "quantize absent data --json same --out same",
        "explain absent data --coco same.json --json same.json",
        "benchmark small --out same --json same/benchmark.html",
        "compare data --out same --json same/comparison.html",
    ],
)
def test_commands_refuse_it_before_they_work(line: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    assert "the file of --" in capsys.readouterr().err
    assert not list(Path().glob("same*"))


@pytest.mark.parametrize(
    "name",
    ["other.jpg", "model.SAFETENSORS", "p.onnx", "p.pt2", "p.bin", "a.MP4", "table.csv", "notes.yaml", "link"],
)
def test_results_never_replace_a_file_of_another_kind(data: Path, name: str) -> None:
    Path("kept.png").write_bytes(b"pixels")
    Path("link").symlink_to("kept.png")
    if name != "link":
        Path(name).write_bytes(b"no input of this command")
    with pytest.raises(OptionError, match=rf"E132 --json {name} is there and is a \.\w+ file, .*name another file"):
        require_json(name, [])
    assert Path("kept.png").read_bytes() == b"pixels"


def test_results_never_replace_ground_truth_that_is_no_input(data: Path) -> None:
    truth = str(data / "annotations/test.json")
    with pytest.raises(OptionError, match=r"E132 --json \S+test\.json is there and is COCO's ground truth"):
        require_json(truth, [])


def test_results_replace_results_and_empty_files(data: Path) -> None:
    Path("empty.jpg").touch()  # as tempfile makes it
    Path("lines").write_text("old")
    for name in ("found.json", "empty.jpg", "lines", "new.png", None):
        require_json(name, [])


@pytest.mark.parametrize("name", ["summary.json", "state.pt", "config.yaml", "best.safetensors"])
def test_a_file_of_a_run_is_never_an_output(tmp_path: Path, name: str) -> None:
    for each in ("metrics.csv", name, "found.json"):
        (tmp_path / each).write_text("{}")
    with pytest.raises(OptionError, match=rf"E132 --out \S+{name} is a file of the training run in .*another file"):
        require_file("--out", tmp_path / name)
    require_file("--out", tmp_path / "found.json")


def test_a_file_that_is_called_as_those_of_a_run_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text("{}")
    require_file("--json", tmp_path / "data.json")


def test_standard_output_that_is_closed_stops_the_work_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", ClosedStream())
    with pytest.raises(MachineError, match="--json -: standard output is closed; name a file"):
        require_json("-", [])


def test_a_full_device_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(MachineError, match="E133 no space left to write /dev/full"),
        json_lines("/dev/full") as write,
    ):
        write({"image": "a.jpg"})


@pytest.mark.parametrize("target", ["", ".", "data"])
def test_a_folder_in_place_of_a_file(data: Path, target: str) -> None:
    with pytest.raises(OptionError, match="is a folder; name a file, or - for standard output"):
        require_file("--json", target)


def test_a_file_in_place_of_a_folder(data: Path) -> None:
    with pytest.raises(OptionError, match=r"--json: data/a.xml is a file, so the file cannot be made below it"):
        require_file("--json", "data/a.xml/found.json")
    with pytest.raises(OptionError, match=r"^E137 --out data/a.xml is a file; name a folder"):
        require_folder("--out", data / "a.xml")
    with pytest.raises(OptionError, match=r"--out: data/a.xml is a file, so the folder cannot be made below it"):
        require_folder("--out", data / "a.xml" / "b" / "c")
    (data / "nowhere").symlink_to("absent")
    with pytest.raises(OptionError, match=r"--out data/nowhere is a link to nothing; name a folder"):
        require_folder("--out", data / "nowhere")


def test_a_place_where_nothing_can_be_made(data: Path) -> None:
    with pytest.raises(
        MachineError,
        match="--out /proc/nope: nothing can be written there: No such file or directory; name another folder",
    ):
        require_folder("--out", Path("/proc/nope"))
    with pytest.raises(MachineError, match=r"cannot write /proc/found\.json"):
        require_file("--json", "/proc/found.json")


def test_places_that_are_fine_are_left_as_they_were(data: Path) -> None:
    before = sorted(Path().rglob("*"))
    require_folder("--out", data)
    require_folder("--out", Path("new/deep"))
    require_folder("--out", None)
    require_file("--json", "new/found.json")
    require_file("--json", "-", [data])
    require_file("--json", None, [data])
    require_file("--json", os.devnull, [data])
    assert sorted(Path().rglob("*")) == before


def test_lines_reach_the_reader_of_a_pipe_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(pipe.open)
        with json_lines(str(pipe)) as write:
            stream = opening.result(timeout=30)
            write({"label": "é"})
            assert stream.readline() == '{"label": "é"}\n'
            write([1])
        assert stream.read() == "[1]\n"
        stream.close()
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_closed_pipe_ends_the_work(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(pipe.open)
        with pytest.raises(BrokenPipeError), json_lines(str(pipe)) as write:  # noqa: PT012
            opening.result(timeout=30).close()
            write(1)


def test_one_value_goes_through_a_link_and_into_an_open_file(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    write_json(str(tmp_path / "link.json"), {"AP": 0.5})
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text()) == {"AP": 0.5}
    with (tmp_path / "opened").open("w") as file:
        write_json(f"/dev/fd/{file.fileno()}", [1])
    assert json.loads((tmp_path / "opened").read_text()) == [1]


# 0xe9 is é in Latin-1 and no UTF-8; Python holds such a byte of a file's name as U+DCE9.
@pytest.mark.parametrize("name", ["caf\udce9.jpg", "\udcff\udcfe", "é\udce9 '\"\n", "红枣🌴"])
def test_names_that_are_no_text_can_be_turned_back(tmp_path: Path, name: str) -> None:
    target = tmp_path / "found.jsonl"
    with json_lines(str(target)) as write:
        write({"image": name})
    [line] = target.read_text(encoding="utf-8").splitlines()
    assert os.fsencode(json.loads(line)["image"]) == os.fsencode(name)
    write_json(str(target), [name])
    assert json.loads(target.read_bytes()) == [name]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "gb18030", "utf-8"])
def test_standard_output_of_any_encoding_holds_json(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    with json_lines("-") as write:
        write({"label": "红枣é", "image": "\udce9"})
    write_json("-", "红枣")
    sys.stdout.flush()
    first, second = raw.getvalue().decode(encoding).splitlines()
    assert json.loads(first) == {"label": "红枣é", "image": "\udce9"}
    assert json.loads(second) == "红枣"


def test_json_on_standard_output_holds_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"image": "a\x1b\x9b\x7f\u202e.jpg", "label": "猫"}
    with json_lines("-") as write:
        write(value)
        write({"label": "猫"})
    write_json("-", value)
    line, plain, spread = capsys.readouterr().out.split("\n", 2)
    assert line == r'{"image": "a\u001b\u009b\u007f\u202e.jpg", "label": "\u732b"}'
    assert plain == '{"label": "猫"}'
    assert json.loads(line) == json.loads(spread) == value


def test_json_in_a_file_keeps_the_letters_of_names(tmp_path: Path) -> None:
    write_json(str(tmp_path / "found.json"), "\u202e猫")
    assert (tmp_path / "found.json").read_text(encoding="utf-8") == '"\u202e猫"\n'
