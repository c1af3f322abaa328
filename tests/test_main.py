"""The program around the command: what happens before its modules are loaded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(os.name == "nt", reason="signals are sent as on Unix")
def test_ctrl_c_while_modules_are_loaded_ends_without_a_traceback(tmp_path: Path) -> None:
    # Stands for the first module that the command line needs.
    (tmp_path / "cyclopts.py").write_text(
        "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(60)", encoding="utf-8"
    )
    paths = [str(tmp_path), str(Path(__file__).parents[1] / "src")]
    done = subprocess.run(
        [sys.executable, "-m", "faster_rcnn", "train", "cells"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        timeout=50,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore Ctrl-C
    )
    assert done.returncode == -signal.SIGINT  # which a shell shows as 130
    assert (done.stdout, done.stderr) == ("", "")
