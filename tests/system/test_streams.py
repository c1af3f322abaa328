"""Standard streams that are closed when a command begins, and terminals that are closed while it runs."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from faster_rcnn.system.streams import Terminal

COMMAND = '"$0" -m faster_rcnn'


def run(line: str) -> subprocess.CompletedProcess[str]:
    """A line of a shell in which ``$0`` is this Python."""
    return subprocess.run(["/bin/sh", "-c", line, sys.executable], capture_output=True, text=True, check=False)


def test_a_result_for_a_closed_standard_output_is_an_error() -> None:
    done = run(f"{COMMAND} config >&-")
    assert done.returncode == 5
    assert done.stderr.splitlines()[-1] == (
        "faster-rcnn: error: standard output is closed, so the result is lost; send it to a file: > FILE"
    )


@pytest.mark.parametrize("closed", ["2>&-", "<&-", "<&- 2>&-"])
def test_results_come_without_the_other_streams(closed: str) -> None:
    assert run(f"{COMMAND} config {closed}").stdout == run(f"{COMMAND} config").stdout != ""


def test_messages_never_go_where_results_go() -> None:
    done = run(f"{COMMAND} predict no/model no/image.jpg --json - 2>&-")
    assert (done.returncode, done.stdout) == (2, "")


def test_a_file_never_takes_the_number_of_a_closed_stream() -> None:
    code = (
        "import os; from faster_rcnn.system.streams import open_standard_streams as open_them; open_them();"
        "print(os.open(os.devnull, os.O_RDONLY))"
    )
    assert int(run(f"\"$0\" -c '{code}' 2>&- <&-").stdout) > 2


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_messages_to_a_terminal_that_was_closed_are_lost_and_nothing_else_is() -> None:
    master, slave = os.openpty()
    with Terminal(os.fdopen(slave, "wb"), encoding="utf-8", line_buffering=True) as terminal:
        print("epoch 1", file=terminal)
        assert os.read(master, 100) == b"epoch 1\r\n"
        os.close(master)
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            os.write(slave, b"epoch 2")
        terminal.write("epoch 2")
        terminal.flush()
        print("epoch 3", file=terminal)
        assert not terminal.isatty()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full")
def test_other_faults_of_the_stream_of_messages_are_raised() -> None:
    terminal = Terminal(os.fdopen(os.open("/dev/full", os.O_WRONLY), "wb"), encoding="utf-8", line_buffering=True)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        print("epoch 1", file=terminal)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        terminal.close()
