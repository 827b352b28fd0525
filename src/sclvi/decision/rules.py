"""Rules: which defects count, and how many a part may have. Scores and the threshold stay as they are."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sclvi.decision.inspection import Verdict
from sclvi.errors import SclviError, complaint, complaint_line

_Least = Annotated[float | None, Field(ge=0)]


class Rules(BaseModel):
    """What a rules file may say; what it leaves out is not asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    mm_per_px: float | None = Field(None, gt=0, description="side of a pixel of the original picture")
    minimum_area_px: _Least = Field(None, description="smaller defects do not count")
    minimum_area_mm2: _Least = Field(None, description="the same in mm2; needs mm_per_px")
    minimum_severity: _Least = Field(None, description="milder defects do not count")
    maximum_defects: int = Field(0, ge=0, description="defects that count and are still accepted")

    @model_validator(mode="after")
    def _areas_have_a_scale(self) -> Self:
        if self.minimum_area_mm2 is not None and self.mm_per_px is None:
            raise ValueError("minimum_area_mm2 needs mm_per_px")
        return self

    def area_mm2(self, area: float) -> float | None:
        """Of an area in px of the original picture; None without a scale."""
        return None if self.mm_per_px is None else area * self.mm_per_px**2

    def judge(self, verdict: Verdict, defects: Sequence[tuple[float, float]]) -> "Ruling":
        """What the rules make of an inspection.

        They accept, never reject: a part that is good by the threshold stays good, and one whose score is no number,
        which has no defects that could be counted, stays defective.

        Args:
            verdict: by the threshold.
            defects: (area in px, severity) of each; a severity that is no number counts.
        """
        discounted_by = tuple(self._broken(area, severity) for area, severity in defects)
        counted = sum(not names for names in discounted_by)
        accepted = verdict == "good" or (len(defects) > 0 and counted <= self.maximum_defects)
        return Ruling("good" if accepted else "defective", counted, discounted_by)

    def _broken(self, area: float, severity: float) -> tuple[str, ...]:
        values = {
            "minimum_area_px": area,
            "minimum_area_mm2": self.area_mm2(area),
            "minimum_severity": severity,
        }
        limits = self.model_dump(include=set(values), exclude_none=True)
        return tuple(name for name, limit in limits.items() if values[name] < limit)


@dataclass(frozen=True)
class Ruling:
    """The verdict after the rules."""

    verdict: Verdict
    counted: int  # defects
    discounted_by: tuple[tuple[str, ...], ...]  # of each defect, the rules by which it does not count


def read_rules(path: Path) -> Rules:
    """Read a rules file, TOML.

    Raises:
        SclviError: it cannot be read, is no TOML, or says what is no rule; in one line, with file and name.
    """
    try:
        return Rules(**tomllib.loads(path.read_text("utf-8-sig")))
    except OSError as error:
        raise SclviError(f"{path}: cannot be read ({error.strerror or error})") from None
    except ValidationError as error:
        raise SclviError(f"{path}: {_first(error)}") from None
    except ValueError as error:  # of tomllib, or of the decoding
        raise SclviError(f"{path}: not TOML ({error})") from None


def _first(error: ValidationError) -> str:
    name, kind, _ = complaint(error)
    if kind == "extra_forbidden":
        return f"{name}: no such rule; there are {', '.join(Rules.model_fields)}"
    return complaint_line(error)
