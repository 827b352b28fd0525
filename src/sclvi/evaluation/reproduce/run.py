"""`sclvi reproduce`: run what a table or figure takes, cell by cell, and set it beside what was published."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sclvi.errors import SclviError
from sclvi.evaluation.reproduce.cell import measure_cell
from sclvi.evaluation.reproduce.comparison import write_comparison
from sclvi.evaluation.reproduce.cost import count_pictures, measure_cost, spoken
from sclvi.evaluation.reproduce.plan import PLANS, EncoderName, What, settings_for
from sclvi.evaluation.reproduce.plot import check_plotting
from sclvi.evaluation.rows import append_rows, provenance, read_rows, rounded
from sclvi.progress import Progress, silent
from sclvi.settings import Settings

Say = Callable[[str], None]  # one line for the user


@dataclass(frozen=True)
class _Cell:
    category: Path
    settings: Settings


def reproduce(
    what: What,
    data: Path,
    out: Path,
    *,
    encoder: EncoderName = "dense",
    pretexts: Sequence[str] | None = None,
    categories: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    budget_minutes: float | None = None,
    changes: Mapping[str, Any] | None = None,
    progress: Progress = silent,
    say: Say = lambda line: None,
) -> list[Path]:
    """Run a table or figure of the paper; cells whose rows are there already are not run again.

    Args:
        data: folder of categories in the MVTec layout.
        out: folder for the rows (CSV), the comparison (Markdown) and, for Figure 3, the plot; encoders are kept in
            `out/encoders`.
        pretexts: only these of the table's.
        categories: names; None: all in `data`.
        budget_minutes: for each training; sets the number of steps by the time a step takes here, the same for all
            cells of this call. None: the number of the settings.
        changes: of the settings, for all cells alike.
        say: told what is about to be done and how long it will take.

    Returns:
        The files written.

    Raises:
        SclviError: no such category, a bad picture, or rows of another shape in `out`.
    """
    plan = PLANS[what]
    if what == "figure3":
        check_plotting()
    folders = find_categories(data, categories)
    changes = dict(changes or {})
    chosen = [pretext for pretext in plan.pretexts if pretexts is None or pretext in pretexts]
    cost = measure_cost(folders[0], settings_for(encoder, chosen[0], seeds[0], changes))
    if budget_minutes is not None:
        changes["steps"] = max(1, round(60 * budget_minutes / cost.step))
    rows_file = out / plan.file
    cells = [
        _Cell(folder, settings_for(encoder, pretext, seed, changes))
        for seed in seeds
        for folder in folders
        for pretext in chosen
    ]
    waiting = [cell for cell in cells if not _is_done(cell, read_rows(rows_file), budget_minutes)]
    seconds = sum(cost.cell(cell.settings.steps, count_pictures(cell.category)) for cell in waiting)
    say(
        f"{what}: {len(waiting)} of {len(cells)} trainings to do, {cells[0].settings.steps} steps each; about "
        f"{spoken(seconds)} for learning and encoding on this machine, and the searches"
    )
    for number, cell in enumerate(waiting):
        progress(what, number, len(waiting), f"{cell.category.name}, {cell.settings.pretext}")
        append_rows(rows_file, _measure(cell, what, out, budget_minutes, progress))
    progress(what, len(waiting), len(waiting))
    return [rows_file, *write_comparison(what, out)]


def find_categories(data: Path, names: Sequence[str] | None) -> list[Path]:
    """Folders of the named categories, or of all, in order of their names.

    Raises:
        SclviError: one is not there, or there are none.
    """
    if names is not None:
        folders = [data / name for name in names]
        for folder in folders:
            if not (folder / "train" / "good").is_dir():
                raise SclviError(f"{folder}: no category in the MVTec layout (no train/good)")
        return folders
    folders = sorted(path.parents[1] for path in data.glob("*/train/good"))
    if not folders:
        raise SclviError(f"{data}: no categories in the MVTec layout (NAME/train/good)")
    return folders


def _is_done(cell: _Cell, rows: Sequence[Mapping[str, str]], budget_minutes: float | None) -> bool:
    settings = cell.settings
    known = {
        "category": cell.category.name,
        "pretext": settings.pretext,
        "seed": str(settings.seed),
        "encoder": settings.encoder,
        "light": settings.light,
        "budget_minutes": _cell_text(budget_minutes),
    }
    if budget_minutes is None:  # with a budget, the number of steps depends on the machine's day
        known["settings"] = settings.fingerprint()
    return any(all(row.get(name) == value for name, value in known.items()) for row in rows)


def _measure(
    cell: _Cell, what: What, out: Path, budget_minutes: float | None, progress: Progress
) -> list[dict[str, Any]]:
    settings, scorings = cell.settings, PLANS[what].scorings
    result = measure_cell(cell.category, settings, scorings, out / "encoders", progress)
    return [
        {
            "pretext": settings.pretext,
            "category": cell.category.name,
            "seed": settings.seed,
            "fusion": scoring.fusion,
            "eta": scoring.eta,
            "image_auroc": rounded(result.figures[scoring]["image_auroc"], 5),
            "pixel_auroc": rounded(result.figures[scoring]["pixel_auroc"], 5),
            "minutes": round(result.minutes, 2),
            "encoder": settings.encoder,
            "light": settings.light,
            "steps": settings.steps,
            "batch": settings.batch,
            "budget_minutes": _cell_text(budget_minutes),
            "memory_strides": " ".join(map(str, settings.memory_strides)),
            "train_images": result.train_images,
            "test_images": result.test_images,
            "settings": settings.fingerprint(),
            **provenance(),
        }
        for scoring in scorings
    ]


def _cell_text(value: float | None) -> str:
    return "" if value is None else str(value)
