"""Every error code that a message can begin with: what happened, an example, and what helps.

This table is the source of the page of error codes in the documentation; ``tests/test_error_codes.py`` compares it with
the messages of the package. Codes are stable, since scripts may test for them: a code keeps its meaning, and no fault
gets the number of an abandoned code (E117, E127, E129 to E131, E135).

A code marks a fault of what a user brings or of what a run finds out: labelled images, images, options, model files,
results, proposals, a training run and its folder. Some errors have no code. Their exit code names their kind already,
and their one line holds all that there is to know:

* exit code 4, an output that failed its own check; it is removed and the command can be run again;
* exit code 5, the machine: no connection for a download, a missing package, compiler or processor feature, a closed
  standard output. Only a full disk has a code (E133), because a script can free space and go on;
* exit code 2, an option that does not go with another one, with this command or with this kind of detector, a setting
  that does not fit the chosen backbone, and ``--resume`` where there is nothing to resume. The line names the option.
"""

from __future__ import annotations

from faster_rcnn.error_codes.code import ErrorCode
from faster_rcnn.error_codes.data import OF_DATA
from faster_rcnn.error_codes.work import OF_WORK

__all__ = ["CODES", "ErrorCode"]

CODES = (*OF_DATA, *OF_WORK)
