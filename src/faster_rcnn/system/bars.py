"""A progress bar on a terminal, laid out for the width of the terminal.

What matters most comes first: the label, how many of how many, the time left and the first value. The bar takes what
is left over; it becomes narrower before a further value is left out, and no value is ever cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rich.console import Console
from rich.progress import Progress, Task
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

GAP = 2
"""Columns of a terminal between two parts of the line."""
MIN_BAR, MAX_BAR = 8, 24
LETTERS_OF_VALUE = 5
"""Room for a value, such as 0.706 or 1.68, so that the line does not jump when it changes."""


class Line(NamedTuple):
    """The parts of one line."""

    label: str
    bar: int
    """Columns of the bar; 0 for none."""
    rest: str
    """The text behind the bar."""


class Bars(Progress):
    """Rich's progress, with lines of our own; each task has the field ``values``, numbers by name."""

    def make_tasks_table(self, tasks: Iterable[Task]) -> Table:
        """One line for each task."""
        lines = [_drawn(task, self.console) for task in tasks if task.visible]
        table = Table.grid()
        for line in lines:
            table.add_row(line)
        return table


def line_of(label: str, count: str, time: str, values: Mapping[str, float], width: int) -> Line:
    """The line for a terminal of ``width`` columns, with as many of the values, in their order, as fit."""
    shown = [f"{name} {shown_value(value):<{LETTERS_OF_VALUE}}" for name, value in values.items()]
    rest = [count, time, *shown[:1]]
    room = width - len(label) - sum(GAP + len(part) for part in rest) - GAP - MIN_BAR
    for part in shown[1:]:
        if room < GAP + len(part):
            break
        rest.append(part)
        room -= GAP + len(part)
    bar = min(MAX_BAR, MIN_BAR + room) if room >= 0 else 0
    return Line(label, bar, (" " * GAP).join(rest).rstrip())


def shown_value(value: float) -> str:
    """A value with three significant digits."""
    return f"{value:.3g}"


def clock(seconds: float) -> str:
    """Seconds as text, such as 0:07, 12:30 or 1:05:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _drawn(task: Task, console: Console) -> Table | Text:
    total = None if task.total is None else int(task.total)
    done = int(task.completed)
    # The count keeps its width while it grows.
    count = str(done) if total is None else f"{done:>{len(str(total))}}/{total}"
    line = line_of(task.description, count, _time(task), task.fields["values"], console.width)
    if not line.bar:
        return Text(f"{line.label}{' ' * GAP}{line.rest}", no_wrap=True, overflow="ellipsis")
    row = Table.grid(padding=(0, GAP, 0, 0))
    row.add_row(
        Text(line.label, no_wrap=True),
        ProgressBar(task.total, task.completed, width=line.bar, pulse=total is None, animation_time=task.get_time()),
        Text(line.rest, no_wrap=True),
    )
    return row


def _time(task: Task) -> str:
    """The time left, or the time so far where the total is not known; at the end, the time taken."""
    if task.finished:
        return f"in {clock(task.finished_time or 0.0)}"
    if task.total is None:
        return f"{clock(task.elapsed or 0.0)} so far"
    return "-:-- left" if task.time_remaining is None else f"{clock(task.time_remaining)} left"
