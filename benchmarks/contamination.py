"""What bad pictures among the good ones cost, and what the audit gets back:

    python -m benchmarks.contamination --data ../shared/data
    python -m benchmarks.contamination --data ../shared/data --audit-only

Defective test pictures are put among the good ones until they are 2, 5, 10 and 20 % of all; 0 % shows what the audit
takes from a clean folder. They are left out of the test pictures. Each set is learned from without and with the audit,
a row for each in benchmarks/results/contamination.csv, with the shares of defective and of good test pictures that the
threshold rejects: bad pictures among those that set it raise it. Precision and recall are of the pictures that the
audit drops; suspects are what the trained model then names, by the scores of up to 200 of the pictures, and
bad_suspects how many of these are defective. A seed draws which defects are moved, smaller shares within larger ones.
With --audit-only nothing is learned: what the audit flags, check by check, and would drop goes to audit.csv.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.options import categories_parser
from benchmarks.tables import RESULTS
from sclvi.audit.audit import CHECKS
from sclvi.audit.audit import audit as audit_pictures
from sclvi.data.good import read_good
from sclvi.data.layouts import GOOD, Item, find_layout
from sclvi.decision.inspection import Inspection
from sclvi.errors import SclviError
from sclvi.evaluation.evaluate import compare
from sclvi.evaluation.reproduce.run import find_categories
from sclvi.evaluation.rows import append_rows, provenance, rounded
from sclvi.learn import train
from sclvi.progress import silent
from sclvi.settings import Settings

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Contaminated:
    """A category with defective pictures among the good ones."""

    train: tuple[Item, ...]
    test: tuple[Item, ...]

    @property
    def bad(self) -> frozenset[str]:
        """Names of the defective pictures to learn from."""
        return frozenset(str(item.path) for item in self.train if item.defect != GOOD)


def contaminate(category: Path, share: float, seed: int) -> Contaminated:
    """Move defective test pictures among the good ones until they are `share` of those, in order of their names.

    Raises:
        SclviError: so many that no defect is left to test.
    """
    layout = find_layout(category)
    defective = [item for item in layout.test if item.defect not in (GOOD, "")]
    count = round(share * len(layout.train) / (1 - share))
    if count >= len(defective):
        raise SclviError(f"{category}: {share:.0%} are {count} defective pictures, of {len(defective)} to test")
    order = np.random.default_rng(seed).permutation(len(defective))[:count]
    moved = {defective[number].path for number in order}
    among = sorted(
        (*layout.train, *(item for item in defective if item.path in moved)), key=lambda item: item.path.name
    )
    return Contaminated(tuple(among), tuple(item for item in layout.test if item.path not in moved))


def measure(category: Path, share: float, audit: Literal["off", "drop"], settings: Settings) -> dict[str, Any]:
    """One row."""
    settings = settings.model_copy(update={"audit": audit})
    pictures = contaminate(category, share, settings.seed)
    model = train([item.path for item in pictures.train], settings)
    inspections = list(model.inspect(item.path for item in pictures.test))
    figures = compare(
        pictures.test,
        [inspection.score for inspection in inspections],
        [inspection.anomaly_map for inspection in inspections],
        [inspection.size for inspection in inspections],
    )
    dropped = frozenset(model.metadata["audit"]["misleading"]) if audit == "drop" else None
    suspects = frozenset(model.metadata["suspects"])
    return {
        "category": category.name,
        "contamination_share": share,
        "audit": audit,
        "image_auroc": rounded(figures["image_auroc"], 5),
        "pixel_auroc": rounded(figures["pixel_auroc"], 5),
        "detected_rate": rounded(_rejected(inspections, pictures.test, defective=True), 4),
        "rejected_rate": rounded(_rejected(inspections, pictures.test, defective=False), 4),
        **_found(pictures, dropped),
        "dropped": None if dropped is None else len(dropped),
        "suspects": len(suspects),
        "bad_suspects": len(suspects & pictures.bad),
        "train_images": len(pictures.train),
        "bad_images": len(pictures.bad),
        "train_seconds": model.metadata["train_seconds"],
        "short_side": settings.short_side,
        "seed": settings.seed,
        "settings": settings.fingerprint(),
        **provenance(),
    }


def measure_audit(category: Path, share: float, settings: Settings) -> dict[str, Any]:
    """One row without training."""
    pictures = contaminate(category, share, settings.seed)
    sources = [item.path for item in pictures.train]
    data = read_good(sources, settings.size, settings.short_side, settings.align, silent, None)
    started = time.perf_counter()
    audited = audit_pictures(data, settings)
    seconds = time.perf_counter() - started
    flagged = frozenset(picture.name for picture in audited.flagged)
    dropped = frozenset(picture.name for picture in audited.pictures if picture.misleads)
    good = len(sources) - len(pictures.bad)
    return {
        "category": category.name,
        "contamination_share": share,
        "pictures": len(sources),
        "bad_images": len(pictures.bad),
        **_found(pictures, dropped),
        "false_drop_rate": rounded(len(dropped - pictures.bad) / good, 4),
        "false_flag_rate": rounded(len(flagged - pictures.bad) / good, 4),
        **{check: sum(check in picture.failed for picture in audited.pictures) for check in CHECKS},
        "copies": sum(picture.copy_of is not None for picture in audited.pictures),
        "audit_seconds": round(seconds, 1),
        "short_side": settings.short_side,
        "seed": settings.seed,
        "settings": settings.fingerprint(),
        **provenance(),
    }


def _rejected(inspections: Sequence[Inspection], items: Sequence[Item], defective: bool) -> float:
    """Share of the defective, or of the good, test pictures that the threshold rejects."""
    pairs = zip(inspections, items, strict=True)
    verdicts = [one.verdict for one, item in pairs if (item.defect != GOOD) == defective]
    return verdicts.count("defective") / len(verdicts)


def _found(pictures: Contaminated, dropped: frozenset[str] | None) -> dict[str, float | None]:
    """Precision and recall, None where they are undefined."""
    right = len((dropped or frozenset()) & pictures.bad)
    return {
        "precision": rounded(right / len(dropped), 4) if dropped else None,
        "recall": rounded(right / len(pictures.bad), 4) if dropped is not None and pictures.bad else None,
    }


def main() -> None:
    parser = categories_parser(__doc__)
    parser.add_argument("--shares", type=float, nargs="*", default=SHARES, help="of bad pictures, 0..1")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--short-side", type=int, default=Settings().short_side, help="working size, px")
    parser.add_argument("--audit-only", action="store_true", help="learn nothing; rows go to audit.csv")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the rows")
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        settings = Settings(seed=seed, short_side=arguments.short_side)
        for category in find_categories(arguments.data, arguments.categories):
            for share in arguments.shares:
                if arguments.audit_only:
                    append_rows(arguments.out / "audit.csv", [measure_audit(category, share, settings)])
                    continue
                rows = [measure(category, share, audit, settings) for audit in ("off", "drop")]
                append_rows(arguments.out / "contamination.csv", rows)


if __name__ == "__main__":
    main()
