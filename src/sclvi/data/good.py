"""The good pictures of one kind of part, read and brought to one size."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from sclvi.data.alignment import Alignment, measure_alignment
from sclvi.data.appearance import Appearance, measure_appearance
from sclvi.data.arrays import Picture
from sclvi.data.layouts import find_layout
from sclvi.data.levels import Levels, measure_levels
from sclvi.data.pose import Affine
from sclvi.data.preparing import prepare, working_size
from sclvi.data.regions import WHOLE, Regions
from sclvi.data.sources import Source, read_source, source_name
from sclvi.data.thumbnails import encode_thumbnail
from sclvi.errors import OnSkip, SclviError, leave_out
from sclvi.progress import Progress, track


@dataclass(frozen=True)
class TrainingPicture:
    """A good picture that the memory knows."""

    name: str
    size: tuple[int, int]  # (height, width), original px
    pose: Affine = field(repr=False, compare=False)  # from its upright picture to the aligned one, see `Alignment`
    appearance: Appearance = field(repr=False, compare=False)
    thumbnail: bytes = field(default=b"", repr=False)  # JPEG; empty where it did not fit the budget


@dataclass(frozen=True)
class GoodPictures:
    """What a model learns from."""

    images: Tensor  # N x C x h x w float32, by `levels` or 0..1, aligned
    levels: Levels | None
    alignment: Alignment
    pictures: tuple[TrainingPicture, ...]  # N
    fingerprint: str  # of the pixels as prepared
    regions: Regions = WHOLE  # what lies outside is painted over in `images` and thumbnails

    @property
    def channels(self) -> int:
        return self.images.shape[1]

    def only(self, numbers: Sequence[int]) -> "GoodPictures":
        """Some of the pictures, in the order given; aligned as before."""
        images = self.images[list(numbers)]
        pictures = tuple(self.pictures[number] for number in numbers)
        return replace(self, images=images, pictures=pictures, fingerprint=_fingerprint(images))


def good_sources(good: str | Path | Sequence[Source]) -> list[Source]:
    """The pictures of a folder, of the train/good of an MVTec category, or of a CSV manifest; a sequence as it is."""
    return [item.path for item in find_layout(Path(good)).train] if isinstance(good, str | Path) else list(good)


def read_good(
    good: str | Path | Sequence[Source],
    size: tuple[int, int] | None,
    short_side: int,
    align: bool,
    progress: Progress,
    on_skip: OnSkip | None,
    thumbnails_kib: float = 0,
    regions: Regions = WHOLE,
) -> GoodPictures:
    """Read a folder of good pictures, an MVTec category, a CSV manifest, or a sequence of paths or arrays.

    The channels that most pictures have are the model's, and their levels are measured if most are float; the others
    are bad pictures if they do not fit (see `prepare`).

    Args:
        size: (height, width) of anomaly maps, px; None: the pictures' usual shape with `short_side` px.
        align: turn and cut the pictures where that can be done, see `measure_alignment`.
        thumbnails_kib: what the thumbnails of all pictures together may take; each has the same share.
        regions: what is looked at; all that lies outside is painted over before anything is measured.

    Raises:
        SclviError: nothing to learn from, or a bad picture without `on_skip`.
    """
    sources = good_sources(good)
    read: list[tuple[str, Picture]] = []
    with ThreadPoolExecutor(2) as pool:
        reading = pool.map(partial(_try_read, regions), enumerate(sources))
        for name, result in track(reading, "reading pictures", len(sources), progress):
            if isinstance(result, SclviError):
                leave_out(name, result, on_skip)
            else:
                read.append((name, result))
    if not read:
        raise SclviError(f"nothing to learn from: none of {len(sources)} pictures can be used")
    size = size or working_size([_size(picture) for _, picture in read], short_side)
    regions.check(size)
    kinds = Counter(_kind(picture) for _, picture in read)
    usual = max(kinds, key=lambda kind: (kinds[kind], kind))
    channels, levels = usual[0], measure_levels([picture for _, picture in read if _kind(picture) == usual])
    usable, prepared = [], []
    for name, picture in read:
        try:
            prepared.append(prepare(picture, size, channels, levels))
            usable.append((name, picture))
        except SclviError as error:
            leave_out(name, SclviError(f"{name}: {error}"), on_skip)
    images = torch.stack(prepared)
    inside = regions.labels(size) > 0 if regions.items else None
    alignment = measure_alignment(images, inside) if align else Alignment.none(size)
    if alignment.upright == size:
        brought = [alignment.place(image) for image in prepared]
    else:
        brought = [alignment.bring(picture, channels, levels) for _, picture in usable]
    images = torch.stack([image for image, _ in brought])
    share = int(1024 * thumbnails_kib / len(usable))
    known = [
        TrainingPicture(
            name,
            _size(picture),
            pose,
            measure_appearance(image),
            encode_thumbnail(picture, share) if share else b"",
        )
        for (name, picture), (_, pose), image in zip(usable, brought, prepared, strict=True)
    ]
    return GoodPictures(images, levels, alignment, tuple(known), _fingerprint(images), regions)


def _fingerprint(images: Tensor) -> str:
    return hashlib.sha256(images.numpy().data).hexdigest()


def _size(picture: Picture) -> tuple[int, int]:
    return picture.shape[0], picture.shape[1]


def _kind(picture: Picture) -> tuple[int, bool]:
    """Channels, and whether the numbers are float."""
    return picture.shape[2], picture.dtype.kind == "f"


def _try_read(regions: Regions, numbered: tuple[int, Source]) -> tuple[str, Picture | SclviError]:
    number, source = numbered
    name = source_name(number, source)
    try:
        picture = read_source(source)
    except SclviError as error:
        return name, error
    try:
        return name, regions.fill(picture)
    except SclviError as error:
        return name, SclviError(f"{name}: {error}")
