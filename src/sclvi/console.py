"""What the command line shows: bars while working, warnings, tables. Nothing but results goes to standard output."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from sclvi.errors import SclviError
from sclvi.progress import Progress, silent

# names of files may hold square brackets and colons, which are neither markup nor emoji
output = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
_WIDE = 400  # characters, where no terminal limits a line


def show_all_names() -> None:
    """Escape what the encoding of the output lacks, as standard error does: a name must not end a command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def show_table(table: Table) -> None:
    """As wide as it needs, but on a terminal."""
    output.print(table, width=None if output.is_terminal else _WIDE)


@contextmanager
def progress_bars(quiet: bool) -> Iterator[Progress]:
    """A bar for each stage on a terminal; silence elsewhere."""
    if quiet or not errors.is_terminal:
        yield silent
        return
    columns = (
        TextColumn("{task.description:<22}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[reached]}", markup=False),
    )
    with Bars(*columns, console=errors) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int, reached: str = "") -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, reached="")
            elif done < bars.tasks[tasks[stage]].completed:  # the same stage again, for the next model
                bars.reset(tasks[stage], total=total)
            bars.update(tasks[stage], completed=done, total=total, reached=reached)

        yield show


class Skipped:
    """Collects what had to be left out, with one line for each on standard error."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str, error: SclviError) -> None:
        self.names.append(name)
        errors.print(f"skipped: {error}")
