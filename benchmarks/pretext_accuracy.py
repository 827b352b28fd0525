"""How well each pretext was answered at the end of its training, from the logs beside the encoders of a reproduction:

    python -m benchmarks.pretext_accuracy --encoders reproduction/encoders

Rows go to benchmarks/results/pretext_accuracy.csv: the share of right answers over the last tenth of the steps, on good
pictures with all augmentation, both patch sizes together, beside what guessing would give.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import nn

from benchmarks.tables import RESULTS
from sclvi.context.pretexts import PRETEXTS
from sclvi.evaluation.rows import append_rows, provenance


def read_log(path: Path) -> dict[str, Any] | None:
    """One row; nothing for an encoder whose pretext asks nothing."""
    category, encoder, pretext, seed, _ = path.stem.rsplit("-", 4)
    with safe_open(path, "pt") as file:
        accuracy = json.loads(file.metadata()["accuracy"])
        channels = file.get_tensor("main.0.weight").shape[1]
    heads = [module for module in PRETEXTS[pretext](channels).modules() if isinstance(module, nn.Linear)]
    if not heads:
        return None
    end = accuracy[-max(1, len(accuracy) // 10) :]
    return {
        "pretext": pretext,
        "category": category,
        "seed": seed.removeprefix("seed"),
        "right_rate": round(sum(end) / len(end), 4),
        "chance_rate": round(1 / heads[-1].out_features, 4),
        "channels": channels,
        "encoder": encoder,
        "steps": len(accuracy),
        **provenance(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=RESULTS / "pretext_accuracy.csv")
    arguments = parser.parse_args()
    order = list(PRETEXTS)
    rows = [row for path in sorted(arguments.encoders.glob("*.safetensors")) if (row := read_log(path))]
    rows.sort(key=lambda row: (order.index(row["pretext"]), row["category"], row["seed"]))
    append_rows(arguments.out, rows)


if __name__ == "__main__":
    main()
