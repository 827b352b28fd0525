"""What a reproduction leaves to read: the Markdown table beside the published figures, and the plot of Figure 3."""

from pathlib import Path

from sclvi.evaluation.reproduce.figures import Rows, by_way
from sclvi.evaluation.reproduce.markdown import eta_table, overall_table, own_table, pretext_table
from sclvi.evaluation.reproduce.plan import PLANS, What
from sclvi.evaluation.reproduce.plot import plot_eta
from sclvi.evaluation.rows import read_rows
from sclvi.files import write_atomically


def write_comparison(what: What, out: Path) -> list[Path]:
    """Write the comparison of the rows in `out` with what was published; returns the files."""
    rows = read_rows(out / PLANS[what].file)
    table = out / f"{what}.md"
    write_atomically(table, comparison(what, rows).encode())
    if what != "figure3":
        return [table]
    plot = out / "figure3.png"
    *_, latest = by_way(rows).values()  # rows made in several ways are several tables, but one plot
    plot_eta(latest, plot)
    return [table, plot]


def comparison(what: What, rows: Rows) -> str:
    """The Markdown text."""
    match what:
        case "table1":
            parts = [
                ("Tables 1 and 7: detection", pretext_table(rows, "detection")),
                ("Tables 1 and 8: segmentation", pretext_table(rows, "segmentation")),
            ]
        case "table2":
            parts = [("Table 2: detection", overall_table(rows, "detection"))]
        case "table3":
            parts = [("Table 3: segmentation", overall_table(rows, "segmentation"))]
        case "table4":
            parts = [("Table 4: own data", own_table(rows))]
        case "figure3":
            parts = [
                ("Figure 3: detection", eta_table(rows, "detection")),
                ("Figure 3: segmentation", eta_table(rows, "segmentation")),
            ]
    return "\n".join(f"## {title}\n\n{text.rstrip()}\n" for title, text in parts)
