"""The commands of ``faster-rcnn``: their options, and the job that each of them starts.

Jobs are imported when their command runs, because torch takes seconds and ``--help`` should not.
"""

from faster_rcnn.commands import detector, files, proposing
from faster_rcnn.commands.app import app

__all__ = ["app", "detector", "files", "proposing"]
