"""What the commands say of what they did, line by line."""

from pathlib import Path
from statistics import median

from sclvi.decision.threshold import Threshold, images_needed, promise_without
from sclvi.inspect_folder import Summary
from sclvi.learn import pictures_needed
from sclvi.model import Model
from sclvi.report.drift import drift_line

_FEW = 10  # good pictures; see few_shot.csv


def trained(model: Model, out: Path) -> list[str]:
    """What was learned, what it promises and on what that rests, and which good pictures do not belong."""
    settings, threshold = model.inspector.settings, model.calibration.threshold
    dropped = settings.audit == "drop"
    suspects = (
        _suspects(model, "left out of the threshold")
        if dropped
        else _suspects(model, "suspect", "take it out, or train with --audit drop")
    )
    channels = f"{model.channels} channel{'' if model.channels == 1 else 's'}"
    lines = [
        *_flagged(model, dropped),
        *suspects,
        f"{out}: learned {len(model.pictures)} good pictures {_looked_at(model)}, {channels}, "
        f"in {model.metadata['train_seconds']:.0f} s{_compared(model)}",
        f"threshold {threshold.value:.3f}, set on {threshold.pictures} good pictures, each seen as if it were new: "
        + _promise(threshold),
        *(_left_out(model) if dropped else []),
        *_regions(model),
    ]
    if len(model.pictures) < _FEW:
        lines.append(
            f"{len(model.pictures)} good pictures are few: good parts that look a little different will be taken for "
            f"defective; 50 or more are better (docs/experiments.md)"
        )
    if not threshold.is_kept:
        rate = min(one.asked_rate for one in model.calibration.regions)
        needed = pictures_needed(rate, settings)
        more = max(1, needed - (threshold.pictures if settings.set_aside == 0 else len(model.pictures)))
        lines.append(
            f"{threshold.asked_rate:.1%} was asked; to promise it takes {needed} good pictures, {more} more; or "
            f"'sclvi calibrate' with {images_needed(rate)} others"
        )
    return lines


def calibrated(before: Model, after: Model, out: Path) -> list[str]:
    """The new threshold, the old one, and what it promises."""
    threshold = after.calibration.threshold
    lines = [
        *_suspects(after, "suspect", "take it out and calibrate again"),
        f"{out}: threshold {threshold.value:.3f}, was {before.threshold:.3f}; set on {threshold.pictures} good "
        f"pictures: {_promise(threshold)}",
        *_regions(after),
    ]
    if not threshold.is_kept:
        needed = images_needed(min(one.asked_rate for one in after.calibration.regions))
        lines.append(f"{threshold.asked_rate:.1%} was asked; {needed - threshold.pictures} more pictures promise it")
    return lines


def inspected(summary: Summary, skipped: int) -> list[str]:
    """How many pictures are what, whether camera or light changed, and where the report is."""
    done_before = f", {summary.done_before} of them done before" if summary.done_before else ""
    earlier = f" (with {summary.earlier} of earlier runs)" if summary.earlier else ""
    accepted = f" ({summary.accepted} of them by the rules)" if summary.accepted else ""
    return [
        f"{summary.good} good{accepted}, {summary.defective} defective, {skipped} skipped{done_before}",
        drift_line(summary.drift),
        f"report: {summary.report.resolve()}{earlier}",
    ]


def _flagged(model: Model, dropped: bool) -> list[str]:
    """Of each picture that the audit flagged, where there was one."""
    audit = model.metadata["audit"] or {"flagged": {}, "misleading": []}
    return [
        f"{'left out' if dropped and name in audit['misleading'] else 'suspect'}: {name} ({'; '.join(reasons)})"
        for name, reasons in audit["flagged"].items()
    ]


def _suspects(model: Model, what: str, advice: str | None = None) -> list[str]:
    """Of each good picture whose score stands out, and what to do about them."""
    suspects = model.metadata["suspects"]
    usual = median(model.calibration.scores)
    lines = [
        f"{what}: {name} (scores {score:.3f}, a usual good picture {usual:.3f})"
        for name, score in sorted(suspects.items(), key=lambda one: -one[1])
    ]
    if lines and advice is not None:
        lines.append(f"look at them: a defective picture among the good ones raises the threshold; {advice}")
    return lines


def _left_out(model: Model) -> list[str]:
    """What becomes of the promise if the pictures that were left out for their looks are good parts all the same."""
    left_out = model.metadata["audit"]["unlike"] + len(model.metadata["suspects"])
    if not left_out:
        return []
    rate = min(1.0, sum(promise_without(one, left_out) for one in model.calibration.regions))
    return [
        f"that holds if what was left out is not good; if all of it is ({left_out} of the pictures), at most "
        f"{rate:.1%} of good parts are rejected"
    ]


def _promise(threshold: Threshold) -> str:
    """As a clause."""
    return f"at most {threshold.promised_rate:.1%} of good parts are rejected"


def _regions(model: Model) -> list[str]:
    """Of each region of interest that has a name."""
    pairs = zip(model.regions.names, model.calibration.regions, strict=True)
    return [f"region {name}: threshold {one.value:.3f}, {_promise(one)} by it" for name, one in pairs if name]


def _looked_at(model: Model) -> str:
    size = f"{model.size[1]}x{model.size[0]} px"
    return f"at {size}" if model.tiles is None else f"in {len(model.tiles)} tiles of {size}"


def _compared(model: Model) -> str:
    """What was found of the good pictures that decides how a picture is compared with them, as clauses."""
    alignment, done = model.alignment, []
    if alignment.template is not None:
        done.append(f"parts are {'turned' if alignment.turns else 'moved a little'} to lie alike")
    if alignment.scale is not None:
        done.append("pictures of many shapes keep their scale")
    elif alignment.aligned != alignment.size:
        done.append("calm background is cut away")
    if any(memory.nearness for memory in model.inspector.memories):
        done.append("patches are compared with those of about their place")
    return "".join(f"; {clause}" for clause in done)
