"""The audit of a folder: which of its pictures do not belong among good ones, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from torch import Tensor

from sclvi.audit.duplicates import first_copies
from sclvi.audit.quality import brightness, clipped_share, log_size, sharpness
from sclvi.audit.robust import Values, deviations, outlier_limit
from sclvi.audit.unlikeness import measure_unlikeness
from sclvi.data.good import GoodPictures
from sclvi.data.images import in_batches
from sclvi.errors import SclviError
from sclvi.progress import Progress, silent
from sclvi.settings import Settings

Check = Literal["unlike", "blur", "exposure", "size"]
CHECKS: Mapping[Check, str] = {
    "unlike": "unlike the others",
    "blur": "blurred",
    "exposure": "odd exposure",
    "size": "odd size",
}
_FEWEST = 3  # pictures; of two that differ, either may be the odd one
_LEAST_SPREAD = 0.05  # of logarithms of sharpness
_LEAST_SHARE = 0.01  # of brightness and of clipped shares
_LEAST_STRETCH = 0.02  # of logarithms of sides


@dataclass(frozen=True)
class AuditedPicture:
    """What the audit says of one picture."""

    name: str
    size: tuple[int, int]  # (height, width), original px
    deviations: Mapping[Check, float]  # robust standard deviations from the others' median, in the bad direction
    failed: tuple[Check, ...]  # checks whose limit a deviation exceeds
    copy_of: str | None  # the first picture of the folder that shows the same, if it is not this one
    suspicion: float  # largest deviation over its limit

    @property
    def is_flagged(self) -> bool:
        return bool(self.failed) or self.copy_of is not None

    @property
    def misleads(self) -> bool:
        """Whether it should not be learned from; light and blur that do harm make it unlike the others, too."""
        return "unlike" in self.failed or self.copy_of is not None

    @property
    def reasons(self) -> tuple[str, ...]:
        """In words."""
        copy = () if self.copy_of is None else (f"copy of {self.copy_of}",)
        return (*(CHECKS[check] for check in self.failed), *copy)


@dataclass(frozen=True)
class Audit:
    """What the audit says of a folder."""

    pictures: tuple[AuditedPicture, ...]  # N, in the order of the folder
    limits: Mapping[Check, float]
    maps: Tensor = field(repr=False)  # N x h x w, where each picture is unlike the others, unit as of its limit

    @property
    def flagged(self) -> tuple[AuditedPicture, ...]:
        """Most suspicious first."""
        return tuple(self.pictures[number] for number in self.ranking() if self.pictures[number].is_flagged)

    def ranking(self) -> list[int]:
        """Numbers of the pictures: flagged ones first, then by suspicion."""
        return sorted(
            range(len(self.pictures)),
            key=lambda number: (not self.pictures[number].is_flagged, -self.pictures[number].suspicion, number),
        )

    def kept(self) -> list[int]:
        """Numbers of the pictures that may be learned from, in order."""
        return [number for number, picture in enumerate(self.pictures) if not picture.misleads]

    def summary(self) -> dict[str, Any]:
        """What a model keeps of it, as JSON can hold it."""
        return {
            "pictures": len(self.pictures),
            "flagged": {one.name: list(one.reasons) for one in self.flagged},
            "unlike": sum("unlike" in one.failed for one in self.pictures),
            "misleading": [one.name for one in self.flagged if one.misleads],
        }


def audit(data: GoodPictures, settings: Settings, progress: Progress = silent) -> Audit:
    """Compare the pictures of a folder with each other.

    Args:
        data: as read, before anything is done to the light.
        settings: of which seed and memory count.

    Raises:
        SclviError: fewer than three different pictures.
    """
    _refuse_few(len(data.pictures))
    copies = first_copies(data.images)
    firsts, which = np.unique(copies, return_inverse=True)
    _refuse_few(len(firsts))
    unlike = measure_unlikeness(data.only(firsts.tolist()), settings, progress)  # copies would vouch for each other
    exceeded = {"unlike": unlike.scores[which], **_photographic(data)}
    limits: dict[Check, float] = {"unlike": unlike.limit}
    for check, looks in _LOOKS.items():
        limits[check] = outlier_limit(exceeded[check], looks)
    pictures = []
    for number, (picture, first) in enumerate(zip(data.pictures, copies.tolist(), strict=True)):
        mine = {check: float(exceeded[check][number]) for check in CHECKS}
        pictures.append(
            AuditedPicture(
                name=picture.name,
                size=picture.size,
                deviations=mine,
                failed=tuple(check for check in CHECKS if mine[check] > limits[check]),
                copy_of=None if first == number else data.pictures[first].name,
                suspicion=max(mine[check] / limits[check] for check in CHECKS),
            )
        )
    return Audit(tuple(pictures), limits, unlike.maps[which])


_LOOKS: Mapping[Check, int] = {"blur": 1, "exposure": 3, "size": 4}  # one-sided comparisons in each


def _photographic(data: GoodPictures) -> dict[Check, Values]:
    """N deviations for each check of `_LOOKS`."""
    looks = (brightness, clipped_share, sharpness)
    values = [[look(image) for look in looks] for batch in in_batches(data.images) for image in batch]
    means, shares, sharp = np.array(values).T
    light = np.abs(deviations(means, _LEAST_SHARE))
    clipped = deviations(shares, _LEAST_SHARE)
    sides = deviations(log_size([picture.size for picture in data.pictures]), _LEAST_STRETCH)
    return {
        "blur": -deviations(sharp, _LEAST_SPREAD),
        "exposure": np.maximum(light, clipped),
        "size": np.abs(sides).max(0),
    }


def _refuse_few(count: int) -> None:
    if count < _FEWEST:
        raise SclviError(
            f"an audit compares pictures with each other: {count} different are too few, {_FEWEST} are needed"
        )
