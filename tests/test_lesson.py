"""The lesson's page and its pictures; ``test_documented_commands.py`` runs its program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

import make_lesson
from documentation.lesson import python_blocks, run_program, store_pictures
from pages_of_documentation import DOCS

PAGE = DOCS / "lesson.md"
PICTURES = DOCS / "images" / "lesson"
SIDE = 60


def test_every_picture_of_the_page_is_made_by_its_program_and_nothing_else_is() -> None:
    text = PAGE.read_text(encoding="utf-8")
    saved = re.findall(r'\.save\(pictures / "([a-z-]+\.png)"\)', "".join(python_blocks(PAGE)))
    assert sorted(saved) == sorted(re.findall(r"\]\(images/lesson/([a-z-]+\.png)\)", text))
    assert sorted(saved) == sorted(path.name for path in PICTURES.iterdir())
    assert len(saved) == len(set(saved)) > 10


def test_pictures_are_small_enough_to_be_stored() -> None:
    sizes = [path.stat().st_size for path in PICTURES.iterdir()]
    assert max(sizes) < 400_000
    assert sum(sizes) < 3_000_000


def page_of(folder: Path) -> Path:
    """A page whose program draws a picture in its second block."""
    page = folder / "page.md"
    first = f"from PIL import Image\n\npicture = Image.linear_gradient('L').resize(({SIDE}, {SIDE}))\n"
    second = (
        "from pathlib import Path\n\nPath('lesson').mkdir()\n"
        "picture.convert('RGB').save('lesson/a.png')\nassert Path('runs/demo/made').exists()\n"
    )
    page.write_text(f"# A\n\n```python\n{first}```\n\n```sh\nno Python\n```\n\n```python\n{second}```\n")
    return page


def test_the_blocks_of_a_page_are_one_program(tmp_path: Path) -> None:
    page, before = page_of(tmp_path), Path.cwd()
    assert len(python_blocks(page)) == 2
    (tmp_path / "runs" / "demo" / "made").mkdir(parents=True)
    run_program(page, tmp_path)
    assert Path.cwd() == before
    [stored] = store_pictures(tmp_path / "lesson", tmp_path / "small")
    with Image.open(stored) as picture:
        assert (picture.mode, picture.size) == ("P", (SIDE, SIDE))
        found = picture.convert("L")
    with Image.open(tmp_path / "lesson" / "a.png") as original:
        expected = original.convert("L")
    steps = zip(found.tobytes(), expected.tobytes(), strict=True)
    assert max(abs(one - other) for one, other in steps) <= 4


def test_the_tool_runs_the_program_beside_a_finished_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "demo" / "made").mkdir(parents=True)
    monkeypatch.setattr(make_lesson, "PAGE", page_of(tmp_path))
    out = tmp_path / "out"
    monkeypatch.setattr("sys.argv", ["make_lesson.py", "--demo", str(tmp_path / "demo"), "--out", str(out)])
    assert make_lesson.main() == 0
    assert [path.name for path in out.iterdir()] == ["a.png"]
    assert "a.png: " in capsys.readouterr().out
