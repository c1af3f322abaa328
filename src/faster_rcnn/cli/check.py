"""The command ``faster-rcnn check``."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.cli.options import Settings, announce_work
from faster_rcnn.cli.outputs import require_folder
from faster_rcnn.cli.survey_files import refuse_inside
from faster_rcnn.errors import OptionError
from faster_rcnn.system.console import say, show, warn
from faster_rcnn.system.wording import count_of

FAULTS = 2
"""Exit code of --strict where there are errors or warnings: that of faults of the data."""


def check(
    data: Path,
    /,
    *,
    fix: Path | None = None,
    strict: bool = False,
    out: Path | None = None,
    model: str | None = None,
    settings: Settings = None,
) -> int:
    """Check labelled images: files, boxes, classes, ids, duplicates, balance, sizes and anchors; mend what is wrong.

    Args:
        data: Folder or file of labelled images, which are not changed.
        fix: New folder for a copy without the faults, with a list of every change in CHANGES.md.
        strict: Exit with code 2 where there is an error or a warning, for automatic checks.
        out: Folder for check_report.json and check.html; by default runs/NAME-check.
        model: Preset whose image size and anchors the objects are compared with; by default small.
        settings: Settings as section.key=value, such as data.voc_offset=0; several may follow.
    """
    announce_work(f"checking {data}")
    from faster_rcnn.checking.mending import CHANGES, mend
    from faster_rcnn.checking.page import write_page_of
    from faster_rcnn.checking.report import faults, table, write_report
    from faster_rcnn.checking.run import check_data
    from faster_rcnn.data.converting import refuse_target
    from faster_rcnn.settings.resolve import resolve_config

    folder = out or Path("runs") / f"{data.resolve().stem}-check"
    require_folder("--out", folder)
    refuse_inside("--out", folder, data)
    if fix is not None:
        require_folder("--fix", fix)
        refuse_target(fix, data, "--fix")
        _refuse_together(fix, folder)
    checked = check_data(data, resolve_config(model, None, settings or (), {}))
    show(table(checked))
    report = write_report(folder, checked)
    say(f"all findings in {report}, with pictures in {write_page_of(folder, checked)}")
    if fix is not None:
        for note in mend(checked, fix):
            warn(note)
        say(f"mended copy in {fix}: {count_of(faults(checked), 'change')}, listed in {fix / CHANGES}")
    return FAULTS if strict and faults(checked) else 0


def _refuse_together(fix: Path, out: Path) -> None:
    if out.resolve().is_relative_to(fix.resolve()):
        raise OptionError(f"--out {out} is in --fix {fix}, which holds the data set alone; name another folder")
