"""sclvi: visual inspection that learns from good pictures alone.

For example:

    import sclvi

    model = sclvi.train("good/")
    for inspection in model.inspect(["part.png"]):
        print(inspection.verdict, inspection.score, inspection.defects)
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sclvi.data.box import Box
    from sclvi.data.region_files import read_regions
    from sclvi.decision.inspection import Defect, Inspection, NearestGood
    from sclvi.errors import SclviError
    from sclvi.evaluation.evaluate import Evaluation, evaluate
    from sclvi.learn import train
    from sclvi.model import Model
    from sclvi.model_file import load, save
    from sclvi.recalibration import calibrate
    from sclvi.settings import Settings

# torch and FAISS each bring threads of their own (GNU OpenMP), which spin while they wait, if nothing is said, and keep
# each other, and every other program, from the cores. It is read when these are loaded, so it has to be set before.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__version__ = "0.1.0"
__all__ = [
    "Box",
    "Defect",
    "Evaluation",
    "Inspection",
    "Model",
    "NearestGood",
    "SclviError",
    "Settings",
    "calibrate",
    "evaluate",
    "load",
    "read_regions",
    "save",
    "train",
]

_HOMES = {
    "Box": "data.box",
    "Defect": "decision.inspection",
    "Evaluation": "evaluation.evaluate",
    "Inspection": "decision.inspection",
    "Model": "model",
    "NearestGood": "decision.inspection",
    "SclviError": "errors",
    "Settings": "settings",
    "calibrate": "recalibration",
    "evaluate": "evaluation.evaluate",
    "load": "model_file",
    "read_regions": "data.region_files",
    "save": "model_file",
    "train": "learn",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: `sclvi --help` need not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
