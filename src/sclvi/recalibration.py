"""A new threshold for a trained model, from good pictures that it has not seen."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sclvi.audit.second_look import standing_out
from sclvi.data.arrays import digest_of
from sclvi.data.good import copy_error, good_sources
from sclvi.data.sources import Source
from sclvi.errors import OnSkip, SclviError, leave_out
from sclvi.model import Calibration, Model
from sclvi.model_file import corrected_fingerprint, fingerprint_of
from sclvi.progress import Progress, silent, track
from sclvi.scoring.regions import region_scores


def calibrate(
    model: Model,
    good: str | Path | Sequence[Source],
    false_reject_rate: float = 0.01,
    progress: Progress = silent,
    on_skip: OnSkip | None = None,
) -> Model:
    """The same model with its threshold set on other good pictures, those that set it before forgotten.

    What is learned stays as it is, and so do raw scores; threshold, p-values and fingerprint change. Pictures whose
    scores stand out among the others are named in the metadata (`suspects`).

    Args:
        model: as trained.
        good: pictures of good parts that the model was not trained on, from the line it is to work at; a folder, a CSV
            manifest, or a sequence of paths or arrays.
        false_reject_rate: share of good parts that may be rejected, 0..1, exclusive.
        progress: told after each picture.
        on_skip: called for each picture that cannot be inspected, or is a copy of another; without it the error is
            raised.

    Raises:
        SclviError: the rate is none, nothing to calibrate with, a picture that the model was trained on, or a bad
            picture without `on_skip`.
    """
    if not 0 < false_reject_rate < 1:
        raise SclviError(f"false-reject rate {false_reject_rate}: a share between 0 and 1 is needed, such as 0.01")
    sources = good_sources(good)
    known = {picture.digest for picture in model.all_pictures}
    inspecting = track(model.inspect_pictures(sources, on_skip), "setting the threshold", len(sources), progress)
    seen = []
    firsts: dict[str, str] = {}  # by its pixels, the name of the first picture that has them
    for inspection, picture in inspecting:
        digest = digest_of(model.regions.fill(picture))
        if digest in known:
            raise SclviError(
                f"{inspection.image}: the model was trained on it or taught it; a threshold needs good pictures it has "
                f"not seen"
            )
        if digest in firsts:
            leave_out(inspection.image, copy_error(inspection.image, firsts[digest]), on_skip)
            continue
        firsts[digest] = inspection.image
        seen.append((inspection.image, _raw_scores(model, inspection.anomaly_map)))
    if not seen:
        raise SclviError(f"nothing to calibrate with: none of {len(sources)} pictures can be used")
    scores = torch.stack([raw for _, raw in seen])
    calibration = Calibration.by_scores(
        model.calibration.usual,
        scores,
        model.regions.rates(float(false_reject_rate)),
        model.calibration.outline,
    )
    calibrated = replace(model, calibration=calibration)
    uncorrected = fingerprint_of(calibrated)
    in_unit = calibration.picture_scores(scores).tolist()
    changed = {
        "calibrated": datetime.now(UTC).isoformat(timespec="seconds"),
        "suspects": {seen[number][0]: in_unit[number] for number in standing_out(scores)},
    }
    return replace(
        calibrated,
        fingerprint=corrected_fingerprint(uncorrected, model.inspector),
        uncorrected=uncorrected if model.corrections else None,
        metadata={**model.metadata, **changed},
    )


def _raw_scores(model: Model, anomaly_map: NDArray[np.float32]) -> Tensor:
    """K float64, the score of each region of interest before its gain."""
    labels = model.regions.labels((anomaly_map.shape[0], anomaly_map.shape[1]))
    shown = region_scores(torch.from_numpy(anomaly_map)[None], labels, len(model.regions.names))[0]
    return shown.double() / torch.tensor(model.calibration.gains, dtype=torch.float64)
