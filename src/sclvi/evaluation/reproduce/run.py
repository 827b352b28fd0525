"""`sclvi reproduce`: run what a table or figure takes, cell by cell, and set it beside what was published."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sclvi.errors import SclviError
from sclvi.evaluation.reproduce.cell import measure_cell, scored_items
from sclvi.evaluation.reproduce.comparison import write_comparison
from sclvi.evaluation.reproduce.cost import count_pictures, measure_cost, spoken
from sclvi.evaluation.reproduce.figures import Rows, categories_of
from sclvi.evaluation.reproduce.plan import PLANS, EncoderName, What, settings_for
from sclvi.evaluation.reproduce.plot import check_plotting
from sclvi.evaluation.reproduce.published import published
from sclvi.evaluation.rows import PROVENANCE, append_rows, check_columns, provenance, read_rows, rounded
from sclvi.progress import Progress, silent
from sclvi.settings import Settings

_COLUMNS = (
    *("pretext", "category", "seed", "fusion", "eta", "image_auroc", "pixel_auroc", "minutes", "encoder", "light"),
    *("steps", "batch", "budget_minutes", "memory_strides", "train_images", "test_images", "settings", *PROVENANCE),
)
Say = Callable[[str], None]  # one line for the user


@dataclass(frozen=True)
class _Cell:
    category: Path
    settings: Settings
    train_images: int
    test_images: int
    budget_minutes: str  # as it stands in a row


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
        SclviError: no such category or pretext, test pictures without labels or masks, a bad picture, or rows of
            another shape in `out`.
    """
    plan = PLANS[what]
    if what == "figure3":
        check_plotting()
    if budget_minutes is not None and not 0 < budget_minutes < math.inf:
        raise SclviError(f"a budget of {budget_minutes} minutes: more than 0 is needed")
    chosen = choose_pretexts(what, pretexts)
    folders = find_categories(data, categories)
    if what == "table4" and {folder.name for folder in folders} <= set(categories_of(published(2, "detection"))):
        raise SclviError("table 4 is of categories that are not of MVTec AD; these all are")
    for folder in folders:
        scored_items(folder)  # says now, not after hours of training, that the figures cannot be made
    _make_folder(out)
    rows_file = out / plan.file
    check_columns(rows_file, _COLUMNS)
    rows = read_rows(rows_file)
    changes = dict(changes or {})
    first = settings_for(encoder, chosen[0], seeds[0], changes)
    cost = cache(lambda: measure_cost(folders[0], first))
    if budget_minutes is not None:
        if "steps" in changes:
            raise SclviError("a budget sets the number of steps; give one of both")
        steps = _steps_begun(rows, first, budget_minutes)
        changes["steps"] = steps or max(1, round(60 * budget_minutes / cost().step))
    counts = {folder: count_pictures(folder) for folder in folders}
    cells = [
        _Cell(folder, settings_for(encoder, pretext, seed, changes), *counts[folder], _in_row(budget_minutes))
        for seed in dict.fromkeys(seeds)
        for folder in folders
        for pretext in chosen
    ]
    waiting = [cell for cell in cells if not _is_done(cell, rows)]
    if not waiting:
        say(f"{what}: all {len(cells)} trainings are done")
    else:
        seconds = sum(cost().cell(cell.settings.steps, cell.train_images + cell.test_images) for cell in waiting)
        say(
            f"{what}: {len(waiting)} of {len(cells)} trainings to do, steps in each: {cells[0].settings.steps}; about "
            f"{spoken(seconds)} for learning and encoding on this machine, and the searches"
        )
    made = provenance()  # of the code that runs: a commit made meanwhile is not it
    for number, cell in enumerate(waiting):
        progress(what, number, len(waiting), f"{cell.category.name}, {cell.settings.pretext}")
        append_rows(rows_file, _known(cell, what, out) or _measure(cell, what, out, made, progress))
    progress(what, len(waiting), len(waiting))
    return [rows_file, *write_comparison(what, out)]


def choose_pretexts(what: What, names: Sequence[str] | None) -> list[str]:
    """The named pretexts, or all, in the order of the table.

    Raises:
        SclviError: one is none of the table's, or none is named.
    """
    known = PLANS[what].pretexts
    if names is None:
        return list(known)
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise SclviError(f"pretext {', '.join(unknown)!r}: {what} has {', '.join(known)}")
    return [name for name in known if name in names]


def find_categories(data: Path, names: Sequence[str] | None) -> list[Path]:
    """Folders of the named categories, each once, or of all, in order of their names.

    Raises:
        SclviError: one is not there, or there are none.
    """
    if names is not None:
        folders = [data / name for name in dict.fromkeys(names)]
        for folder in folders:
            if not (folder / "train" / "good").is_dir():
                raise SclviError(f"{folder}: no category in the MVTec layout (no train/good)")
    else:
        folders = sorted(path.parents[1] for path in data.glob("*/train/good"))
    if not folders:
        raise SclviError(f"{data}: no categories in the MVTec layout (NAME/train/good)")
    return folders


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SclviError(f"{path}: cannot be made a folder ({error.strerror})") from None


def _steps_begun(rows: Rows, settings: Settings, budget_minutes: float) -> int | None:
    """Steps of a table that was begun with this budget: on a slower day they stay the same."""
    begun = (settings.encoder, str(settings.batch), _in_row(budget_minutes))
    for row in rows:
        if (row.get("encoder"), row.get("batch"), row.get("budget_minutes")) == begun:
            return int(row["steps"])
    return None


def _is_done(cell: _Cell, rows: Rows) -> bool:
    known = {
        "category": cell.category.name,
        "settings": cell.settings.fingerprint(),
        "train_images": str(cell.train_images),
        "test_images": str(cell.test_images),
    }
    return any(all(row.get(name) == value for name, value in known.items()) for row in rows)


def _known(cell: _Cell, what: What, out: Path) -> list[Mapping[str, str]]:
    """The cell's rows where another table or figure in `out` has measured all of them; else none."""
    files = {plan.file for plan in PLANS.values()}
    rows = [row for file in sorted(files) for row in read_rows(out / file) if _is_done(cell, [row])]
    known = {(row["fusion"], row["eta"]): row for row in rows}
    wanted = [(scoring.fusion, str(scoring.eta)) for scoring in PLANS[what].scorings]
    return [known[scoring] for scoring in wanted] if all(scoring in known for scoring in wanted) else []


def _measure(cell: _Cell, what: What, out: Path, made: Mapping[str, Any], progress: Progress) -> list[dict[str, Any]]:
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
            "budget_minutes": cell.budget_minutes,
            "memory_strides": " ".join(map(str, settings.memory_strides)),
            "train_images": cell.train_images,
            "test_images": cell.test_images,
            "settings": settings.fingerprint(),
            **made,
        }
        for scoring in scorings
    ]


def _in_row(budget_minutes: float | None) -> str:
    return "" if budget_minutes is None else str(budget_minutes)
