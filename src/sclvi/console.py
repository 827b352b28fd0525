"""What the command line shows: bars while working, warnings, tables. Nothing but results goes to standard output."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from sclvi.errors import SclviError
from sclvi.progress import Progress, silent

output = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def progress_bars(quiet: bool) -> Iterator[Progress]:
    """A bar for each stage on a terminal; silence elsewhere."""
    if quiet or not errors.is_terminal:
        yield silent
        return
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[reached]}"),
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
        errors.print(f"skipped: {error}", markup=False)
