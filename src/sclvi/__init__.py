"""sclvi: visual inspection that learns from good pictures alone."""

from sclvi.decision.inspection import Box, Defect, Inspection, NearestGood
from sclvi.errors import SclviError
from sclvi.model import Model
from sclvi.model_file import load, save
from sclvi.settings import Settings
from sclvi.train import train

__all__ = ["Box", "Defect", "Inspection", "Model", "NearestGood", "SclviError", "Settings", "load", "save", "train"]
__version__ = "0.1.0"
