"""The command ``faster-rcnn doctor``."""

from __future__ import annotations

import platform
import shutil
import sys
import textwrap
from importlib import import_module

from faster_rcnn._version import __version__
from faster_rcnn.cli.options import announce
from faster_rcnn.errors import MachineError
from faster_rcnn.system.console import fail, show

CHECKS = {
    "packages": "faster_rcnn.system.packages:required_packages",
    "optional": "faster_rcnn.system.packages:optional_packages",
    "devices": "faster_rcnn.system.machine_report:devices",
    "instructions": "faster_rcnn.system.machine_report:instructions",
    "precision": "faster_rcnn.system.machine_report:precision",
    "fused on CPU": "faster_rcnn.system.machine_report:fused_operations",
    "compiler": "faster_rcnn.acceleration.compilation:compiler_text",
    "operations": "faster_rcnn.system.machine_report:torchvision_operations",
    "self-test": "faster_rcnn.training.self_test:self_test",
}
"""Name of a row of the report, and the function that gives its text.

Each is imported within its own check, since a package that does not load is one of the faults to be found.
"""
COLUMNS_OF_NAME = 14


def doctor() -> int:
    """Check this machine: versions, devices, instruction sets, and a self-test of a few seconds."""
    announce("checking this machine")
    _show_row("faster-rcnn", f"{__version__}, Python {platform.python_version()}, {platform.system()}")
    broken = [name for name, function in CHECKS.items() if not _passes(name, function)]
    if broken:
        fail(f"error: not working on this machine: {', '.join(broken)}")
    return MachineError.exit_code if broken else 0


def _passes(name: str, function: str) -> bool:
    """Print the result of a check, or how it failed."""
    module, _, attribute = function.partition(":")
    try:
        found = getattr(import_module(module), attribute)()
    except Exception as error:  # noqa: BLE001  # a broken installation may raise anything, and that is the finding
        _show_row(name, f"BROKEN: {type(error).__name__}: {' '.join(str(error).split())}")
        return False
    _show_row(name, found)
    return True


def _show_row(name: str, text: str) -> None:
    """Print one finding: indented below its first word on a terminal, elsewhere as one line."""
    row = f"{name:<{COLUMNS_OF_NAME}}{text}"
    if sys.stdout.isatty():
        width, indent = shutil.get_terminal_size().columns, " " * COLUMNS_OF_NAME
        row = textwrap.fill(row, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)
    show(row)
