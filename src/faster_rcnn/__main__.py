"""The command ``faster-rcnn``, which ``python -m faster_rcnn`` is as well."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Run the command line, and return its exit code.

    Until the command runs and after it has ended, Ctrl-C ends the process as the system does it, without a traceback:
    its modules are loaded in here, which takes some tenths of a second.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    from faster_rcnn.cli import main as cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
