"""Inspecting pictures of any size through tiles, one picture at a time: a large one and its map fill the memory."""

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sclvi.data.appearance import measure_appearance
from sclvi.data.arrays import Picture
from sclvi.data.box import Box
from sclvi.data.images import MadeImages, batch_length
from sclvi.data.light import measure_exposure
from sclvi.data.preparing import fit_channels, prepare, to_image, working_size
from sclvi.data.sources import Source, read_source, source_name
from sclvi.data.tiles import Stitching, Tile, TileNumbers
from sclvi.decision.defects import Region, find_regions, scale_box, to_defect
from sclvi.decision.inspection import Inspection, NearestGood
from sclvi.errors import OnSkip, SclviError, about, leave_out

if TYPE_CHECKING:
    from sclvi.model import Model

_Nearest = tuple[Tensor, Tensor]  # as of `Judged.origins` and `Judged.distances`, tiles x h x w each


def inspect_tiles(
    model: "Model", good: TileNumbers, sources: Iterable[Source], on_skip: OnSkip | None
) -> Iterator[tuple[Inspection, Picture]]:
    """As `Model.inspect_pictures`; `good` are the tiles that the model knows."""
    for number, source in enumerate(sources):
        name = source_name(number, source)
        try:
            picture = read_source(source)
            inspection = _inspect(model, good, name, picture)
        except SclviError as error:
            leave_out(name, about(name, error), on_skip)
            continue
        yield inspection, picture
        del picture, inspection  # or they would be held while the next one is read


def _inspect(model: "Model", good: TileNumbers, name: str, picture: Picture) -> Inspection:
    started = time.perf_counter()
    size = (picture.shape[0], picture.shape[1])
    reduced = working_size(good.pictures, model.inspector.settings.short_side)
    appearance = measure_appearance(prepare(picture, reduced, model.channels, model.levels))
    plan = good.tiling.plan(size)
    stitching = Stitching(size)
    nearest = _score(model, good, picture, plan, stitching)
    extent = (size[0] / stitching.step, size[1] / stitching.step)  # the last row and column may reach beyond it
    defects = tuple(
        to_defect(
            region,
            extent,
            size,
            model.threshold,
            _nearest_good(model, good, region, stitching.step, size, plan, nearest),
        )
        for region in find_regions(stitching.map, model.calibration.pixel_threshold, model.threshold)
    )
    milliseconds = (time.perf_counter() - started) * 1e3
    return model.inspection(name, size, stitching.map, defects, milliseconds, appearance)


def _score(model: "Model", good: TileNumbers, picture: Picture, plan: list[Tile], stitching: Stitching) -> _Nearest:
    """Fill the map, and return what is nearest to the patches of each tile."""
    fitting = fit_channels(picture, model.channels)
    exposure = measure_exposure(fitting, model.levels)

    def make(number: int) -> Tensor:
        return to_image(good.tiling.cut(fitting, plan[number]), model.levels)

    images = MadeImages((len(plan), model.channels, *good.tiling.size), make)
    origins = torch.empty(0)
    distances = torch.empty(0)
    for numbers in torch.arange(len(plan)).split(batch_length(images)):
        maps, judged = model.anomaly_maps(model.light(images[numbers], exposure))
        for number, one in zip(numbers.tolist(), maps, strict=True):
            stitching.put(one.numpy(), plan[number])
        near = (judged.origins, judged.distances)
        if not len(origins):  # all at once: small tensors kept between large ones for a while would tear the heap
            origins, distances = (one.new_empty(len(plan), *one.shape[1:]) for one in near)
        origins[numbers], distances[numbers] = near
    return origins, distances


def _nearest_good(
    model: "Model",
    good: TileNumbers,
    region: Region,
    step: int,
    size: tuple[int, int],
    plan: list[Tile],
    nearest: _Nearest,
) -> NearestGood | None:
    """The good patch nearest to that around the peak of a region."""
    row, column = (min(step * at + step // 2, side - 1) for at, side in zip(region.peak_at, size, strict=True))
    number = next(
        number
        for number, tile in enumerate(plan)
        if tile.rows.start <= row < tile.rows.stop and tile.columns.start <= column < tile.columns.stop
    )
    tile, origins, distances = plan[number], nearest[0][number], nearest[1][number]
    item = model.inspector.nearest_item((row - tile.top, column - tile.left), origins, distances)
    if item is None:
        return None
    number, good_tile = good.find(item.image)
    known = model.pictures[number]
    patch = model.inspector.memories[0].patch
    here = (tile.top + item.here[0], tile.left + item.here[1])
    there = (good_tile.top + item.there[0], good_tile.left + item.there[1])
    return NearestGood(
        picture=known.name,
        box=_patch_box(there, patch, known.size),
        distance=item.distance,
        compared=_patch_box(here, patch, size),
        placing=((1.0, 0.0, float(there[1] - here[1])), (0.0, 1.0, float(there[0] - here[0]))),
    )


def _patch_box(corner: tuple[int, int], patch: int, size: tuple[int, int]) -> Box:
    """Where a patch lies in a picture of (H, W); a tile may reach beyond a small one."""
    (top, bottom), (left, right) = (
        np.clip((start, start + patch), 0, side) for start, side in zip(corner, size, strict=True)
    )
    return scale_box((top, bottom), (left, right), size, size)
