"""Write the figures of benchmarks/results/*.csv into the documents, between their markers:

    python -m benchmarks.tables

A block starts with `<!-- figures: FILE.csv COLUMN ... -->` and ends with `<!-- end figures -->`; nobody types between.
`<!-- figures: WHAT -->`, WHAT as in `sclvi reproduce`, holds the comparison with what the paper published.
"""

import csv
import re
from pathlib import Path

from sclvi.evaluation.reproduce.comparison import comparison
from sclvi.evaluation.reproduce.plan import PLANS
from sclvi.evaluation.rows import read_rows

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
_BLOCK = re.compile(r"(<!-- figures: (\S+\.csv) ([\w ]+) -->\n).*?(<!-- end figures -->)", re.DOTALL)
_REPRODUCED = re.compile(rf"(<!-- figures: ({'|'.join(PLANS)}) -->\n).*?(<!-- end figures -->)", re.DOTALL)
_PERCENT = ("auroc", "aupro", "f1", "_ap", "rate", "error")


def fill(text: str) -> str:
    """The document with each block made anew."""
    text = _BLOCK.sub(lambda found: found[1] + _table(RESULTS / found[2], found[3].split()) + found[4], text)
    return _REPRODUCED.sub(lambda found: found[1] + _comparison(found[2]) + found[3], text)


def _comparison(what: str) -> str:
    (known,) = (name for name in PLANS if name == what)
    return comparison(known, read_rows(RESULTS / PLANS[known].file))


def _table(path: Path, columns: list[str]) -> str:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = ["| " + " | ".join(column.replace("_", " ") for column in columns) + " |", "| --- " * len(columns) + "|"]
    lines += ["| " + " | ".join(_cell(column, row[column]) for column in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(column: str, value: str) -> str:
    if value and any(part in column for part in _PERCENT):
        return f"{100 * float(value):.1f}"
    return value or "-"


def main() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = document.read_text()
        if (new := fill(text)) != text:
            document.write_text(new)


if __name__ == "__main__":
    main()
