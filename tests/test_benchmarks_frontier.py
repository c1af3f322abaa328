"""The search over variants: folds of a training split, runs that are not done again, and the table."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import frontier
import frontier_page
import frontier_run
import frontier_times
import frontier_variants
import pytest
from frontier_results import RESULTS, Run, append_line, read_runs, table_of
from frontier_variants import FINAL, VARIANTS, Fold, Variant, fold_of
from PIL import Image

from faster_rcnn.building import build_model
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.settings.schema import DataConfig
from files import bytes_below
from made_data import make_squares

TINY = (
    "backbone.body=test_resnet",
    "backbone.weights=none",
    "backbone.frozen_stages=0",
    "backbone.pyramid_channels=16",
    "roi.head_hidden=[32]",
    "image.short_side=64",
    "image.long_side=96",
    "training.workers=0",
)
RUN = Run(
    variant="one",
    settings="small",
    data="cells",
    fold=0,
    seed=0,
    images=12,
    ap=0.5,
    ap50=0.8,
    ap75=0.4,
    seconds=10.0,
    threads=1,
    processor="AVX2",
    precision="float32",
    commit="abc",
)


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("frontier") / "squares", {"train": 7, "val": 2})


def boxes_of(data: Path, split: str) -> list[list[list[float]]]:
    records = load_dataset(data, DataConfig()).splits[split].records
    return sorted(record.boxes_xywh.tolist() for record in records)


def test_folds_share_the_training_split_among_them(squares: Path, tmp_path: Path) -> None:
    folds = [fold_of("squares", squares, number, tmp_path) for number in range(3)]
    measured = [boxes for fold in folds for boxes in boxes_of(fold.folder, "test")]
    assert sorted(measured) == boxes_of(squares, "train")
    for fold in folds:
        assert sorted([*boxes_of(fold.folder, "train"), *boxes_of(fold.folder, "test")]) == boxes_of(squares, "train")
        assert Fold.parse(str(fold)) == fold
    before = bytes_below(folds[1].folder)
    assert bytes_below(fold_of("squares", squares, 1, tmp_path).folder) == before
    assert [fold.epochs_for(12) for fold in folds] == [3, 2, 2]  # 12 / 4, 12 / 5 twice


def test_the_last_variants_are_measured_on_the_split_that_nothing_was_chosen_on(squares: Path, tmp_path: Path) -> None:
    whole = fold_of("squares", squares, FINAL, tmp_path)
    assert boxes_of(whole.folder, "train") == boxes_of(squares, "train")
    assert boxes_of(whole.folder, "test") == boxes_of(squares, "val")
    assert Fold.parse(str(whole)) == whole


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_a_detector(name: str) -> None:
    variant = VARIANTS[name]
    settings = (*variant.all_settings, "backbone.weights=none")
    build_model(resolve_config(variant.preset, None, settings, {}), 2)


def test_a_variant_has_the_settings_of_the_preset_when_it_was_named() -> None:
    small, slim = VARIANTS["small-before"], VARIANTS["slim-adamw"]
    assert str(small) == "small"  # as lines of results have it
    assert "training.lr=0.08" in small.all_settings
    assert "training.lr=0.0016" in slim.all_settings
    assert "training.lr=0.08" not in slim.all_settings


def test_runs_are_compared_in_pairs_within_a_processor_and_precision(tmp_path: Path) -> None:
    file = tmp_path / "results" / "runs.jsonl"
    assert read_runs(file) == []
    runs = [
        RUN,
        replace(RUN, data="photos", ap=0.25),
        replace(RUN, variant="two", ap=0.75, seconds=30.0),
        replace(RUN, variant="two", data="photos", ap=0.5, seconds=30.0),
        replace(RUN, variant="two", seed=1, ap=0.25, seconds=30.0),  # the first variant has no such run
        replace(RUN, variant="two", precision="bfloat16", ap=0.9),
    ]
    for run in runs:
        append_line(file, run)
    assert read_runs(file) == runs
    table = table_of(runs, "one").splitlines()
    assert table[0] == "AVX2, float32, 12 images in training"
    assert "| one | 2 | 0.500 | 0.250 | +0.0000 | 10 |" in table
    assert "| two | 3 | 0.500 | 0.500 | +0.2500 | 30 |" in table
    assert "| two | 1 | 0.900 |  | 10 |" in table[table.index("AVX2, bfloat16, 12 images in training") :]


def test_a_search_goes_on_where_it_stopped(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(frontier_variants.VARIANTS, "tiny", Variant("small", TINY))
    begun: list[str] = []

    def here(words: Sequence[str], threads: int) -> None:
        begun.append(words[words.index("--variant") + 1] + words[words.index("--seed") + 1])
        assert words[words.index("--threads") + 1] == str(threads)
        frontier_run.main(words)

    monkeypatch.setattr(frontier, "in_a_process", here)
    monkeypatch.setattr(frontier_run, "commit", lambda: "abc")
    results, out = tmp_path / "runs.jsonl", tmp_path / "out"

    def searched(*options: str) -> str:
        words = ["--data", f"squares={squares}", "--variants", "tiny", "--out", str(out), "--results", str(results)]
        assert frontier.main([*words, "--images", "8", *options]) == 0
        return capsys.readouterr().out

    assert "2 runs are missing still" in searched("--seeds", "0", "1", "--minutes", "-1")
    assert begun == []
    assert "| tiny | 1 |" in searched()
    searched("--seeds", "0", "1")
    assert begun == ["tiny0", "tiny1"]
    first, second = read_runs(results)
    assert (first.data, first.fold, first.seed, second.seed, first.images) == ("squares", 0, 0, 1, 8)
    assert first.settings == str(Variant("small", TINY))
    assert 0 <= first.ap <= first.ap50 <= 1
    assert first.threads >= 1
    times = tmp_path / "times.jsonl"
    words = ["--out", str(out), "--images", str(squares / "images"), "--variants", "tiny", "--precision", "float32"]
    assert frontier_times.main([*words, "--count", "2", "--rounds", "1", "--results", str(times)]) == 0
    [line] = map(json.loads, times.read_text().splitlines())
    assert (line["variant"], line["ratio"], line["stream_ratio"], line["precision"]) == ("tiny", 1.0, 1.0, "float32")
    assert min(line["gflop"], line["milliseconds"], line["stream_images_per_second"]) > 0
    (out / "small-before-96-squares-0-seed-0").mkdir()
    (
        out / "small-before-96-squares-0-seed-0" / "last.safetensors"
    ).touch()  # of another variant, whose name begins so, too
    with pytest.raises(SystemExit, match="has no detector of the variant small-before: python"):
        frontier_times.main(["--out", str(out), "--images", str(squares / "images"), "--variants", "small-before"])


@pytest.mark.parametrize("given", ["squares", "a-b=squares", "=squares", "squares="])
def test_data_without_a_plain_name_is_refused(given: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=f"--data {given}: it is NAME=DIR"):
        frontier.main(["--data", given, "--variants", "small-before", "--out", str(tmp_path)])


def test_the_commit_is_that_of_the_checkout() -> None:
    assert json.loads(json.dumps(frontier_run.commit())) == frontier_run.commit()
    inside = subprocess.run(["git", "rev-parse"], cwd=Path(frontier.__file__).parent, capture_output=True, check=False)
    assert bool(frontier_run.commit()) == (inside.returncode == 0)


def test_the_page_holds_the_tables_of_the_lines() -> None:
    text = frontier_page.PAGE.read_text(encoding="utf-8")
    _, mark, shown = text.partition(frontier_page.MARK)
    assert mark
    assert shown == frontier_page.tables(read_runs(RESULTS), frontier_page.read_times(frontier_times.RESULTS))


def test_differences_are_those_of_pairs_and_their_interval_holds_their_mean() -> None:
    runs = [
        replace(RUN, variant=variant, data=data, seed=seed, ap=ap)
        for data in ("squares", "photos")
        for seed in range(3)
        for variant, ap in (("one", 0.5), ("two", 0.5 + 0.01 * (seed + 1)))
    ]
    gains = frontier_page.gains_of(runs, "two", "one")
    assert {data: [round(each, 4) for each in found] for data, found in gains.items()} == {
        "squares": [0.01, 0.02, 0.03],
        "photos": [0.01, 0.02, 0.03],
    }
    low, high = frontier_page.interval(gains)
    assert 0.01 <= low < 0.02 < high <= 0.03
    assert frontier_page.gains_of([replace(RUN, seed=9), RUN], "two", "one") == {}


def test_the_plot_is_drawn(tmp_path: Path) -> None:
    times = frontier_page.read_times(frontier_times.RESULTS)
    frontier_page.draw(read_runs(RESULTS), times, tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as picture:
        assert min(picture.size) > 300
