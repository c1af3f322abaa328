"""``python -m faster_rcnn`` is the command ``faster-rcnn``."""

from __future__ import annotations

import sys

from faster_rcnn.cli import main

if __name__ == "__main__":
    sys.exit(main())
