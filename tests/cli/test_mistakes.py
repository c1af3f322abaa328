"""Wrong command lines, and the one line that names the right form."""

from __future__ import annotations

import pytest

from faster_rcnn.cli.main import main


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("trian x", 'unknown command "trian". Did you mean train? The commands are benchmark, check, compare,'),
        ("nothing", 'unknown command "nothing". The commands are'),
        ("nothing", "quantize, recall, serve, train."),
        ("train x --epoch 3", "unknown option: --epoch. Did you mean --epochs?"),
        ("train x --epochs three", 'invalid value for --epochs: unable to convert "three" into int.'),
        ("train x --epochs 2.5", 'invalid value for --epochs: unable to convert "2.5" into int.'),
        ("train x --batch 0x4", 'invalid value for --batch: unable to convert "0x4" into int.'),
        ("predict m x --tile 640.5", 'invalid value for --tile: unable to convert "640.5" into int.'),
        ("compare x --rounds 1e1", 'invalid value for --rounds: unable to convert "1e1" into int.'),
        ("train x --precision half", 'invalid value "half" for --precision. Choose from: "auto"'),
        ("train x --precision int8", 'invalid value "int8" for --precision.'),
        ("train x --prec float32", "unknown option: --prec. Did you mean --precision?"),
        ("train x --qiuet", "unknown option: --qiuet. Did you mean --quiet?"),
        (
            "predict m a.jpg --imgsz 640",
            "unknown option: --imgsz. A model has its own image size; change it with --set image.short_side=PIXELS "
            "image.long_side=PIXELS.",
        ),
        ("train x --xyz=3", "unknown option: --xyz."),
        ("predict m a.jpg -c", "unknown option: -c."),
        (
            "quantize m x",
            "quantize needs --out: faster-rcnn quantize MODEL DATA --out OUT; more: faster-rcnn quantize -",
        ),
        ("train", "train needs DATA: faster-rcnn train DATA; more: faster-rcnn train --help"),
        ("predict m", "predict needs SOURCE: faster-rcnn predict MODEL SOURCE...; more: faster-rcnn predict --help"),
        ("recall x --split test", "recall needs --proposals: faster-rcnn recall DATA --proposals PROPOSALS...;"),
        ("evaluate m x --json", 'command "evaluate" parameter --json requires an argument.'),
        ("evaluate m x --json --split val", "--json"),
        ("train x y", "too many arguments: y"),
        ("train x --set", "--set"),
        ("train x --tile 9", "unknown option: --tile."),
        ("benchmark m --precision half", 'invalid value "half" for --precision.'),
        ("--frobnicate", 'unknown command "--frobnicate".'),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_2(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("faster-rcnn: error: ")
    assert message in err
    assert err.count("\n") == 1
