"""Make the README's picture from what `make demo` left:

    python -m benchmarks.picture --demo sclvi-demo

For each category, the clearest find of two kinds of defects and one good part, side by side.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.tables import ROOT

_HEIGHT = 360  # px of a row


def choose(results: Path) -> list[Path]:
    """Overlays of the two kinds of defects with the highest scores, and of the good part with the lowest."""
    records = [json.loads(line) for line in (results / "results.jsonl").read_text().splitlines()]
    best: dict[str, dict[str, Any]] = {}
    for record in sorted(records, key=lambda record: record["score"]):
        best[Path(record["image"]).parent.name] = record
    good = min(
        (record for record in records if Path(record["image"]).parent.name == "good"),
        key=lambda record: record["score"],
    )
    kinds = [record for kind, record in best.items() if kind != "good"]
    kinds.sort(key=lambda record: -record["score"])
    return [results / record["overlay"] for record in (*kinds[:2], good)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, default=Path("sclvi-demo"))
    arguments = parser.parse_args()
    rows = [choose(path.parent) for path in sorted(arguments.demo.glob("*/results.jsonl"))]
    pictures = [[Image.open(path).convert("RGB") for path in row] for row in rows]
    scaled = [[one.resize((round(one.width * _HEIGHT / one.height), _HEIGHT)) for one in row] for row in pictures]
    sheet = Image.new("RGB", (max(sum(one.width for one in row) for row in scaled), _HEIGHT * len(scaled)), "white")
    for number, row in enumerate(scaled):
        left = 0
        for one in row:
            sheet.paste(one, (left, number * _HEIGHT))
            left += one.width
    out = ROOT / "docs" / "images" / "demo.jpg"
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out, quality=85)


if __name__ == "__main__":
    main()
