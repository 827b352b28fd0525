"""Corrections by a person: "this is fine", "this is a defect", and taking that back. Nothing is trained.

What was learned stays as it is and corrections lie beside it (docs/teach.md), so undoing one restores every score.
"""

import getpass
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sclvi.data.arrays import digest_of
from sclvi.data.box import Box
from sclvi.data.boxes import aligned_masks, check_boxes, patches_inside, whole_boxes
from sclvi.data.good import TrainingPicture
from sclvi.data.pose import Mask
from sclvi.data.sources import Source
from sclvi.data.thumbnails import encode_thumbnail
from sclvi.encoders.compute import encode
from sclvi.errors import SclviError
from sclvi.memory.correction import Correction, Kind
from sclvi.memory.exemplars import Exemplars, Taught, exemplars_of, joined, without
from sclvi.memory.scale import ScaleMemory
from sclvi.memory.surface import Surface, limits_of, maps_of
from sclvi.model import LoadedPicture, Model
from sclvi.model_file import corrected_fingerprint
from sclvi.scoring.inspector import Inspector
from sclvi.scoring.pixels import patches_over
from sclvi.synthetic.detector import looks_of

_BLURRED = 2  # px around a region that what is in it may have coloured
_DRAWN_FROM = 3  # px around a region from which its surroundings are drawn on


def teach(model: Model, image: Source, boxes: Sequence[Box] = (), by: str | None = None) -> Model:
    """The same model, told that regions of a picture are good; `model` itself stays as it is.

    Args:
        model: what inspected the picture, or another.
        image: path, or array as for `Model.inspect`.
        boxes: in pixels of the picture as it was taken; none: the whole picture.
        by: who says so; None: the user's name, where the system tells it.

    Raises:
        SclviError: the picture cannot be used, a box does not lie in it, or the model finds no defect there.
    """
    region = _Region.of(model, image, boxes)
    correction = _correction(model, "taught", region, by)
    number = model.picture_number(correction)
    inspector, usual = model.inspector, model.calibration.usual
    learned = inspector.as_learned()  # what is taught does not depend on other corrections, so each can be undone
    maps, judged = learned.score(region.prepared)
    shown = model.shown(model.fuse(maps))
    unusual = [
        _around(one.scores[0] > known.unusual, memory.grid, inspector.settings.query_step)
        & patches_over(shown, memory.patch, memory.stride, memory.grid)[0].numpy()
        for memory, one, known in zip(learned.memories, judged, usual, strict=False)
    ]
    encoded = _encoded(inspector, region)
    new = _exemplars(inspector, region, encoded, unusual, number)
    memories = tuple(
        replace(memory, taught=_taught(memory.taught, exemplars, known.unusual))
        for memory, exemplars, known in zip(inspector.memories, new, usual, strict=False)
    )
    surface = inspector.surface
    if surface is not None and learned.surface is not None:
        above = limits_of(usual[len(memories) :][:2])
        seen = _responses(learned.surface, region, shown, above, number)
        triples = zip(surface.taught, seen, above, strict=True)
        surface = replace(surface, taught=tuple(_taught(*triple) for triple in triples))
        new += seen
    detector = inspector.detector
    if detector is not None:
        looks = _looks(inspector.memories[0], region, shown & (maps[-1] > usual[-1].unusual), encoded[0], number)
        detector = replace(detector, taught=looks_of(joined(detector.exemplars, looks), usual))
        new.append(looks)
    if all(exemplars is None for exemplars in new):
        raise SclviError(f"{region.loaded.name}: nothing to teach: the model finds no defect there")
    changed = replace(inspector, memories=memories, surface=surface, detector=detector)
    return _changed(model, changed, (*model.corrections, correction))


def flag(model: Model, image: Source, boxes: Sequence[Box], by: str | None = None) -> Model:
    """The same model, told that regions of a picture are defects; `model` itself stays as it is.

    Patches that are clearly nearer to one of these regions than to any good patch get a higher score, see
    `raise_flagged`. The threshold's promise was made without: `sclvi.calibrate` renews it.

    Arguments as of `teach`; a box at least.

    Raises:
        SclviError: the picture cannot be used, no box, or one that does not lie in it or not in what is looked at.
    """
    if not boxes:
        raise SclviError("a box is needed: of a whole picture, most is good")
    region = _Region.of(model, image, boxes)
    correction = _correction(model, "flagged", region, by)
    everything = [np.ones(memory.grid, bool) for memory in model.inspector.memories]
    encoded = _encoded(model.inspector, region)
    new = _exemplars(model.inspector, region, encoded, everything, model.picture_number(correction))
    if all(exemplars is None for exemplars in new):
        raise SclviError(f"{region.loaded.name}: nothing to flag: the model does not look at what is there")
    pairs = zip(model.inspector.memories, new, strict=True)
    memories = tuple(replace(memory, flagged=joined(memory.flagged, exemplars)) for memory, exemplars in pairs)
    return _changed(model, replace(model.inspector, memories=memories), (*model.corrections, correction))


def undo(model: Model, number: int) -> Model:
    """The model as if that correction had never been made; `model` itself stays as it is.

    Raises:
        SclviError: there is no such correction.
    """
    found = [correction for correction in model.corrections if correction.number == number]
    if not found:
        raise SclviError(f"no correction {number}: there is {_numbers(model.corrections)}")
    picture = model.picture_number(found[0])
    memories = tuple(
        replace(
            memory,
            taught=_untaught(memory.taught, picture, memory.grid),
            flagged=without(memory.flagged, *_origins(picture, memory.grid)),
        )
        for memory in model.inspector.memories
    )
    surface = model.inspector.surface
    if surface is not None:
        pairs = zip(surface.taught, surface.levels, strict=True)
        left = tuple(_untaught(taught, picture, level.means.shape[:2]) for taught, level in pairs)
        surface = replace(surface, taught=left)
    detector = model.inspector.detector
    if detector is not None:
        looks = without(detector.exemplars, *_origins(picture, model.inspector.memories[0].grid))
        detector = replace(detector, taught=looks_of(looks, model.calibration.usual))
    kept = tuple(correction for correction in model.corrections if correction.number != number)
    return _changed(model, replace(model.inspector, memories=memories, surface=surface, detector=detector), kept)


@dataclass(frozen=True)
class _Region:
    """What a person points at."""

    loaded: LoadedPicture
    prepared: Tensor  # 1 x C x h x w float, the aligned picture, by `Light`
    boxes: tuple[Box, ...]
    masks: list[Mask]  # h x w each, of the aligned picture

    @classmethod
    def of(cls, model: Model, image: Source, boxes: Sequence[Box]) -> "_Region":
        if model.tiles is not None:
            raise SclviError("models with tiles cannot be corrected: train again with the picture among the good ones")
        number = _next_number(model.corrections)
        loaded = model.read(number, image)
        if isinstance(image, np.ndarray):  # the good pictures may have been arrays, too
            loaded = replace(loaded, name=f"corrected {loaded.name}")
        elif _is_name_of_another(loaded, model):
            loaded = replace(loaded, name=str(Path(loaded.name).absolute()))
        boxes = whole_boxes(boxes, loaded.name)
        check_boxes(boxes, loaded.size, loaded.name)
        masks = aligned_masks(boxes, loaded.size, model.alignment, loaded.pose)
        return cls(loaded, model.light(loaded.aligned[None]), boxes, masks)

    def blank(self) -> Tensor:
        """The picture with what is around the region drawn on into it; as it is where there is nothing around."""
        inside = np.any(self.masks, axis=0)
        if inside.all():
            return self.prepared
        hole = cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=_BLURRED)
        filled = [cv2.inpaint(channel, hole, _DRAWN_FROM, cv2.INPAINT_TELEA) for channel in self.prepared[0].numpy()]
        return torch.from_numpy(np.stack(filled))[None]


def _correction(model: Model, kind: Kind, region: _Region, by: str | None) -> Correction:
    loaded = region.loaded
    share = int(1024 * model.inspector.settings.thumbnails_kib / len(model.pictures))
    seen = model.regions.fill(loaded.picture)
    thumbnail = encode_thumbnail(seen, share) if share and kind == "taught" else b""
    picture = TrainingPicture(loaded.name, loaded.size, loaded.pose, loaded.appearance, thumbnail, digest_of(seen))
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return Correction(_next_number(model.corrections), kind, picture, region.boxes, when, _user() if by is None else by)


def _is_name_of_another(loaded: LoadedPicture, model: Model) -> bool:
    """Whether the model knows another picture by that name, which was relative to another folder."""
    digests = {picture.digest for picture in model.all_pictures if picture.name == loaded.name}
    return bool(digests) and digests != {digest_of(model.regions.fill(loaded.picture))}


def _next_number(corrections: Sequence[Correction]) -> int:
    return max((correction.number for correction in corrections), default=0) + 1


def _numbers(corrections: Sequence[Correction]) -> str:
    return ", ".join(str(correction.number) for correction in corrections) or "none"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user id without a name, as in containers
        return ""


def _around(unusual: Tensor, grid: tuple[int, int], step: int) -> Mask:
    """The remembered positions nearer than a step to a scored one that is unusual.

    A new picture of the same lies a few px elsewhere, so all remembered positions are taught, not only the scored.

    Args:
        unusual: h x w bool, of every `step`-th remembered position.
        grid: (rows, columns) of remembered positions.
    """
    spots = torch.zeros(grid)
    spots[: step * unusual.shape[0] : step, : step * unusual.shape[1] : step] = unusual.float()
    reached = F.max_pool2d(spots[None], 2 * step - 1, stride=1, padding=step - 1)[0]
    return np.asarray(reached.numpy() > 0)


def _encoded(inspector: Inspector, region: _Region) -> list[Tensor]:
    """Per scale, the codes of the picture at all remembered positions, 1 x h x w x D in the space of the memory."""
    encoded = encode(inspector.encoder, region.prepared, tuple(memory.stride for memory in inspector.memories))
    return [memory.in_space(codes.cpu()) for memory, codes in zip(inspector.memories, encoded, strict=True)]


def _exemplars(
    inspector: Inspector, region: _Region, encoded: Sequence[Tensor], wanted: Sequence[Mask], number: int
) -> list[Exemplars | None]:
    """Per scale, the codes of the region's patches that are wanted (rows x columns each); None: there are none."""
    exemplars = []
    for memory, codes, mask in zip(inspector.memories, encoded, wanted, strict=True):
        rows = memory.placed(codes, memory.stride)
        inside = patches_inside(region.masks, memory.patch, memory.stride, memory.grid)
        exemplars.append(_at(rows, inside & mask, number))
    return exemplars


def _responses(
    surface: Surface, region: _Region, shown: Tensor, above: Sequence[float], number: int
) -> list[Exemplars | None]:
    """Per level, the responses of the region that are shown and `above`; None: there are none, as in usual maps.

    Those around it count, too, which would be usual but for what is in it: filters for lines answer far beyond it.
    """
    exemplars: list[Exemplars | None] = []
    judged = surface.judge(region.prepared)
    maps = maps_of(judged, (region.prepared.shape[2], region.prepared.shape[3]))
    unusual = ((maps[0] > above[0]) | (maps[1] > above[-1]))[0].numpy()
    if not any((unusual & mask).any() for mask in region.masks):
        return [None] * len(surface.levels)
    blank = surface.judge(region.blank())
    for (seen, distances), (_, without_it), most in zip(judged, blank, above, strict=True):
        grid = (distances.shape[1], distances.shape[2])
        inside = patches_inside(region.masks, seen.extent, seen.stride, grid)
        by_it = (without_it[0] <= most).cpu().numpy()
        told = patches_over(shown, seen.extent, seen.stride, grid)[0].numpy()
        unusual = (distances[0] > most).cpu().numpy() & told
        exemplars.append(_at(seen.responses[0].flatten(0, 1).cpu(), (inside | by_it) & unusual, number))
    return exemplars


def _looks(memory: ScaleMemory, region: _Region, unusual: Tensor, codes: Tensor, number: int) -> Exemplars | None:
    """The codes of the region's smallest patches in which something looks like a defect; None: nothing does.

    unusual: 1 x H x W bool; codes: 1 x h x w x D.
    """
    spots = patches_over(unusual, memory.patch, memory.stride, memory.grid)[0].numpy()
    inside = patches_inside(region.masks, memory.patch, memory.stride, memory.grid)
    return _at(codes.flatten(0, 2), inside & spots, number)


def _at(rows: Tensor, chosen: Mask, number: int) -> Exemplars | None:
    """The rows, h w x D, of the chosen places, h x w, of a picture."""
    places = torch.from_numpy(np.flatnonzero(chosen))
    return Exemplars(rows[places].clone(), number * len(rows) + places) if len(places) else None


def _taught(old: Taught | None, more: Exemplars | None, above: float) -> Taught | None:
    return Taught.of(joined(exemplars_of(old), more), above)


def _untaught(taught: Taught | None, picture: int, grid: tuple[int, ...]) -> Taught | None:
    if taught is None:
        return None
    return Taught.of(without(taught.exemplars, *_origins(picture, grid)), taught.above)


def _origins(picture: int, grid: tuple[int, ...]) -> tuple[int, int]:
    """The range that the origins of a picture's patches lie in."""
    return picture * grid[0] * grid[1], (picture + 1) * grid[0] * grid[1]


def _changed(model: Model, inspector: Inspector, corrections: tuple[Correction, ...]) -> Model:
    uncorrected = model.uncorrected or model.fingerprint
    return replace(
        model,
        inspector=inspector,
        corrections=corrections,
        fingerprint=corrected_fingerprint(uncorrected, inspector),
        uncorrected=uncorrected if corrections else None,
    )
