"""Reading regions of interest: masks, our own JSON, LabelMe's JSON. See docs/regions.md."""

import codecs
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sclvi.data.arrays import MAX_PIXELS, full_scale
from sclvi.data.reading import read_picture
from sclvi.data.regions import MOST_REGIONS, Corners, Kind, Mask, RegionOfInterest, Regions, fill_polygon
from sclvi.errors import SclviError, complaint_line

_Side = Annotated[int, Field(ge=1)]
_Polygon = Annotated[Corners, Field(min_length=3)]
_IGNORE = "ignore"  # label of LabelMe's shapes that are not to be inspected


class _Entry(BaseModel):
    """A region of our JSON."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1)
    kind: Kind = "include"
    polygon: _Polygon | None = None
    mask: str | None = Field(None, description="path of a picture, from the folder of the JSON")
    false_reject_rate: float | None = Field(None, gt=0, lt=1)

    @model_validator(mode="after")
    def _is_drawn_and_judged_in_one_way(self) -> Self:
        if (self.polygon is None) == (self.mask is None):
            raise ValueError("a polygon or a mask is needed, and not both")
        if self.kind == "ignore" and self.false_reject_rate is not None:
            raise ValueError("what is ignored has no false_reject_rate")
        return self


class _File(BaseModel):
    """Our JSON."""

    model_config = ConfigDict(extra="forbid")

    width: _Side | None = None
    height: _Side | None = None
    regions: list[_Entry] = Field(min_length=1)

    @model_validator(mode="after")
    def _polygons_have_a_picture(self) -> Self:
        if any(entry.polygon for entry in self.regions) and (self.width is None or self.height is None):
            raise ValueError("polygons need width and height of the picture that they were drawn on, px")
        return self


class _Shape(BaseModel):
    """A shape of LabelMe's JSON."""

    model_config = ConfigDict(allow_inf_nan=False)

    label: str = Field(min_length=1)
    points: Annotated[Corners, Field(min_length=2)]
    shape_type: Literal["polygon", "rectangle"] = "polygon"

    @model_validator(mode="after")
    def _has_enough_points(self) -> Self:
        if self.shape_type == "polygon" and len(self.points) < 3:
            raise ValueError(f"a polygon of {len(self.points)} points; 3 are needed")
        return self

    def corners(self) -> Corners:
        if self.shape_type == "polygon":
            return self.points
        columns, rows = zip(*self.points, strict=True)  # of two corners, or of all four
        left, top, right, bottom = min(columns), min(rows), max(columns), max(rows)
        return ((left, top), (right, top), (right, bottom), (left, bottom))


class _LabelMe(BaseModel):
    """What is read of LabelMe's JSON."""

    imageHeight: _Side
    imageWidth: _Side
    shapes: list[_Shape] = Field(min_length=1)


def read_regions(paths: str | Path | Sequence[str | Path]) -> Regions:
    """Read regions from files, in this order; or from one.

    Args:
        paths: masks (pictures: white is inspected; named by their stem), or JSON, ours or LabelMe's.

    Raises:
        SclviError: a file cannot be read or says what cannot be; one line with file and place.
    """
    listed = [paths] if isinstance(paths, str | Path) else paths
    items = tuple(item for path in listed for item in _read(Path(path)))
    regions = Regions(items)
    if len(regions.names) > MOST_REGIONS:
        raise SclviError(f"{len(regions.names)} regions; {MOST_REGIONS} at most can be told apart")
    if items and not regions.labels(items[0].size).any():
        raise SclviError("all of the picture is ignored: nothing is left to inspect")
    for name in regions.names:
        if len({item.false_reject_rate for item in items if (item.name, item.kind) == (name, "include")}) > 1:
            raise SclviError(f"region {name!r}: its pieces have different false-reject rates")
    return regions


def _read(path: Path) -> list[RegionOfInterest]:
    return _read_json(path) if path.suffix.lower() == ".json" else [_read_mask(path, path.stem)]


def _read_mask(path: Path, name: str, kind: Kind = "include", rate: float | None = None) -> RegionOfInterest:
    picture = read_picture(path)
    full = full_scale(picture)
    white: Mask = np.asarray((picture > full / 2).all(axis=2))
    if not white.any():
        raise SclviError(f"{path}: a mask without a white pixel; the brightest is {picture.max()}, white is {full:g}")
    return RegionOfInterest(name, kind, (white.shape[0], white.shape[1]), white, rate)


def _read_json(path: Path) -> list[RegionOfInterest]:
    try:
        data = path.read_bytes().removeprefix(codecs.BOM_UTF8)  # which Windows' editors write
        content = json.loads(data)
        if isinstance(content, dict) and "shapes" in content:
            return _from_labelme(path, _LabelMe.model_validate_json(data))
        return _from_ours(path, _File.model_validate_json(data))
    except OSError as error:
        raise SclviError(f"{path}: cannot be read ({error.strerror or error})") from None
    except ValidationError as error:  # which is a ValueError, too
        raise SclviError(f"{path}: {complaint_line(error)}") from None
    except (ValueError, RecursionError) as error:
        raise SclviError(f"{path}: not JSON ({error})") from None


def _from_ours(path: Path, file: _File) -> list[RegionOfInterest]:
    items = []
    for entry in file.regions:
        if entry.mask is not None:
            items.append(_read_mask(path.parent / entry.mask, entry.name, entry.kind, entry.false_reject_rate))
        elif entry.polygon is not None and file.height is not None and file.width is not None:
            size = (file.height, file.width)
            items.append(_polygon(path, entry.name, entry.kind, size, entry.polygon, entry.false_reject_rate))
    return items


def _from_labelme(path: Path, file: _LabelMe) -> list[RegionOfInterest]:
    size = (file.imageHeight, file.imageWidth)
    kinds: list[Kind] = ["ignore" if shape.label.lower() == _IGNORE else "include" for shape in file.shapes]
    return [
        _polygon(path, shape.label, kind, size, shape.corners()) for kind, shape in zip(kinds, file.shapes, strict=True)
    ]


def _polygon(
    path: Path, name: str, kind: Kind, size: tuple[int, int], corners: Corners, rate: float | None = None
) -> RegionOfInterest:
    if size[0] * size[1] > MAX_PIXELS:
        raise SclviError(f"{path}: a picture of {size[1]}x{size[0]} px; at most {MAX_PIXELS // 10**6} million are read")
    if np.abs(corners).max() > MAX_PIXELS:  # arithmetic overflows far out
        raise SclviError(f"{path}: region {name!r} has a corner at {np.abs(corners).max():g} px")
    if not fill_polygon(np.array(corners), size).any():
        raise SclviError(f"{path}: region {name!r} encloses no pixel of a picture of {size[1]}x{size[0]} px")
    return RegionOfInterest(name, kind, size, corners, rate)
