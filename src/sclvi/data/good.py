"""The good pictures of one kind of part: read, checked against each other, and prepared when they are asked for."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from sclvi.data.alignment import Alignment, have_many_shapes, measure_alignment
from sclvi.data.appearance import Appearance, measure_appearance
from sclvi.data.arrays import Picture, digest_of
from sclvi.data.even import evenly
from sclvi.data.images import Images, MadeImages, Selection, in_batches
from sclvi.data.layouts import find_layout
from sclvi.data.levels import Levels, measure_levels
from sclvi.data.light import Exposure, Light, measure_exposure
from sclvi.data.pose import Affine, contrast_picture
from sclvi.data.preparing import fit_channels, prepare, to_image, working_size
from sclvi.data.regions import WHOLE, Regions
from sclvi.data.sources import Source, read_source, source_name
from sclvi.data.store import PictureStore
from sclvi.data.thumbnails import encode_thumbnail
from sclvi.data.tiles import TileNumbers, Tiling, tile_size
from sclvi.errors import OnSkip, SclviError, about, leave_out
from sclvi.progress import Progress, track

_LEVELLED = 100  # good pictures, evenly spread, that show the levels
_Kind = tuple[int, bool]  # channels, and whether the numbers are float


@dataclass(frozen=True)
class TrainingPicture:
    """A good picture that the memory knows."""

    name: str
    size: tuple[int, int]  # (height, width), original px
    pose: Affine = field(repr=False, compare=False)  # from its upright picture to the aligned one, see `Alignment`
    appearance: Appearance = field(repr=False, compare=False)
    thumbnail: bytes = field(default=b"", repr=False)  # JPEG; empty where it did not fit the budget
    digest: str = field(default="", repr=False)  # of its pixels, see `digest_of`


@dataclass(frozen=True)
class GoodPictures:
    """What a model learns from."""

    images: Images  # N x C x h x w float32, by `levels` or 0..1; the pictures, aligned, or their tiles
    whole: Images  # P x C x H x W, each picture upright and reduced to the working size
    levels: Levels | None
    alignment: Alignment
    pictures: tuple[TrainingPicture, ...]  # P
    tiles: TileNumbers | None = None  # which image is what of which picture; None: images and pictures are the same
    exposures: tuple[Exposure, ...] = ()  # of each picture, where they are cut into tiles
    regions: Regions = WHOLE  # what lies outside is painted over in `images` and thumbnails

    @property
    def channels(self) -> int:
        return self.images.shape[1]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the pixels as prepared, before anything is done to the light."""
        digest = hashlib.sha256()
        for batch in in_batches(self.images):
            digest.update(batch.numpy().data)
        return digest.hexdigest()

    def images_of(self, picture: int) -> range:
        """The numbers of the images that show a picture."""
        return range(picture, picture + 1) if self.tiles is None else self.tiles.of(picture)

    def core_of(self, image: int) -> tuple[slice, slice]:
        """The rows and columns of an image that decide; all of a picture that is not cut into tiles."""
        return (slice(None), slice(None)) if self.tiles is None else self.tiles.find(image)[1].core

    def pixels_of(self, picture: int) -> int:
        """How many pixels decide about a picture."""
        height, width = self.images.shape[2:] if self.tiles is None else self.pictures[picture].size
        return height * width

    def lit(self, light: Light) -> Images:
        """The images as `light` prepares them."""

        def make(number: int) -> Tensor:
            exposure = None if self.tiles is None else self.exposures[self.tiles.find(number)[0]]
            return light(self.images[torch.tensor([number])], exposure)[0]

        count, channels, height, width = self.images.shape
        return MadeImages((count, channels, height, width), make)

    def only(self, numbers: Sequence[int]) -> "GoodPictures":
        """Some of the pictures, in the order given; aligned or cut as before."""
        pictures = tuple(self.pictures[number] for number in numbers)
        images = Selection(self.images, torch.tensor([one for number in numbers for one in self.images_of(number)]))
        whole = Selection(self.whole, torch.tensor(numbers))
        tiles = self.tiles and replace(self.tiles, pictures=tuple(picture.size for picture in pictures))
        exposures = tuple(self.exposures[number] for number in numbers) if self.exposures else ()
        return replace(self, images=images, whole=whole, pictures=pictures, tiles=tiles, exposures=exposures)

    def without_copies(self, on_skip: OnSkip | None) -> "GoodPictures":
        """Each picture once: seen as if it were new, it would find its copy remembered, and promise too much.

        Of pictures with the same pixels the first stays; the others are left out (see `leave_out`).
        """
        firsts: dict[str, int] = {}
        for number, picture in enumerate(self.pictures):
            first = firsts.setdefault(picture.digest, number)
            if first != number:
                leave_out(picture.name, copy_error(picture.name, self.pictures[first].name), on_skip)
        return self if len(firsts) == len(self.pictures) else self.only(list(firsts.values()))

    def reduced(self) -> "GoodPictures":
        """The same pictures without tiles, each as one image; those that are not cut, as they are."""
        if self.tiles is None:
            return self
        alignment = Alignment.none((self.whole.shape[2], self.whole.shape[3]))
        return replace(self, images=self.whole, alignment=alignment, tiles=None, exposures=())


def copy_error(name: str, first: str) -> SclviError:
    """Why a picture does not count whose pixels are those of another."""
    return SclviError(f"{name}: has the same pixels as {first}, so it tells nothing new")


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
    *,
    thumbnails_kib: float = 0,
    tile: int | None = None,
    overlap: int = 0,
    regions: Regions = WHOLE,
) -> GoodPictures:
    """Read a folder of good pictures, an MVTec category, a CSV manifest, or a sequence of paths or arrays.

    The channels that most pictures have are the model's, and their levels are measured if most are float; the others
    are bad pictures if they do not fit (see `prepare`).

    Args:
        size: (height, width) of anomaly maps, px; None: the pictures' usual shape with `short_side` px.
        align: turn and cut the pictures where that can be done, see `measure_alignment`; keep the scale of pictures of
            many shapes.
        thumbnails_kib: what the thumbnails of all pictures together may take; each has the same share.
        tile: look at pictures at their own size, in tiles of so many px; they are not aligned, and have no thumbnails.
        overlap: px that neighbouring tiles share.
        regions: what is looked at; all that lies outside is painted over before anything is measured.

    Raises:
        SclviError: nothing to learn from, or a bad picture without `on_skip`.
    """
    sources = good_sources(good)
    names = [source_name(number, source) for number, source in enumerate(sources)]
    store = PictureStore(sources, read=lambda source: regions.fill(read_source(source)))
    sizes, kinds = _read_all(store, names, progress, on_skip)
    size = size or working_size(list(sizes.values()), short_side)
    regions.check(size)
    reader = _Reader.of(store, kinds)
    share = 0 if tile else int(1024 * thumbnails_kib / len(sizes))
    known: dict[int, TrainingPicture] = {}
    for number in track(sizes, "preparing pictures", len(sizes), progress):
        try:
            known[number] = reader.look(number, names[number], size, share)
        except SclviError as error:
            leave_out(names[number], about(names[number], error), on_skip)
    if not known:
        raise _nothing_of(names)
    numbers, pictures = list(known), tuple(known.values())
    whole = reader.upright(numbers, size)
    if tile:
        return _in_tiles(reader, numbers, pictures, whole, tile, overlap)
    originals = [picture.size for picture in pictures]
    alignment = _alignment_of(whole, originals, regions) if align else Alignment.none(size)
    return replace(_aligned(reader, numbers, pictures, whole, alignment, progress), regions=regions)


def _read_all(
    store: PictureStore, names: Sequence[str], progress: Progress, on_skip: OnSkip | None
) -> tuple[dict[int, tuple[int, int]], dict[int, _Kind]]:
    """Size and kind of each picture that can be read, by its number."""
    sizes: dict[int, tuple[int, int]] = {}
    kinds: dict[int, _Kind] = {}
    for number, result in enumerate(track(store.read_all(), "reading pictures", len(names), progress)):
        if isinstance(result, SclviError):
            leave_out(names[number], about(names[number], result), on_skip)
        else:
            sizes[number], kinds[number] = _size(result), (result.shape[2], result.dtype.kind == "f")
    if not sizes:
        raise _nothing_of(names)
    return sizes, kinds


def _nothing_of(names: Sequence[str]) -> SclviError:
    return SclviError(f"nothing to learn from: none of {len(names)} pictures can be used")


def _alignment_of(whole: Images, originals: Sequence[tuple[int, int]], regions: Regions) -> Alignment:
    """What is to be done to pictures of these original sizes, P x C x H x W upright."""
    size = (whole.shape[2], whole.shape[3])
    if not regions.items and have_many_shapes(originals):
        return Alignment.at_one_scale(size, originals)
    return measure_alignment(whole, regions.labels(size) > 0 if regions.items else None)


@dataclass(frozen=True)
class _Reader:
    """Pictures of a store as a model is to see them."""

    store: PictureStore
    channels: int
    levels: Levels | None

    @classmethod
    def of(cls, store: PictureStore, kinds: Mapping[int, _Kind]) -> "_Reader":
        """By what most of the pictures are, and the levels that these show."""
        counted = Counter(kinds.values())
        usual = max(counted, key=lambda kind: (counted[kind], kind))
        alike = [number for number, kind in kinds.items() if kind == usual]
        levels = measure_levels(store[alike[place]] for place in evenly(len(alike), _LEVELLED).tolist())
        return cls(store, usual[0], levels)

    def look(self, number: int, name: str, size: tuple[int, int], thumbnail_bytes: int) -> TrainingPicture:
        """What is known of one, not aligned; errors as of `prepare`."""
        picture = self.store[number]
        image = prepare(picture, size, self.channels, self.levels)
        thumbnail = encode_thumbnail(picture, thumbnail_bytes) if thumbnail_bytes else b""
        contrast = contrast_picture(image)
        pose, appearance = Alignment.none(size).pose(contrast, _size(picture)), measure_appearance(image, contrast)
        return TrainingPicture(name, _size(picture), pose, appearance, thumbnail, digest_of(picture))

    def upright(self, numbers: list[int], size: tuple[int, int]) -> MadeImages:
        """N x C x H x W, each as `prepare` gives it."""

        def make(place: int) -> Tensor:
            return prepare(self.store[numbers[place]], size, self.channels, self.levels)

        return MadeImages((len(numbers), self.channels, *size), make)


def _aligned(
    reader: _Reader,
    numbers: list[int],
    pictures: tuple[TrainingPicture, ...],
    whole: MadeImages,
    alignment: Alignment,
    progress: Progress,
) -> GoodPictures:
    upright = whole if alignment.upright == alignment.size else reader.upright(numbers, alignment.upright)
    if alignment.template is None:
        first = contrast_picture(whole.make(0))  # of which nothing is wanted
        poses = [alignment.pose(first, picture.size) for picture in pictures]
    else:
        counted = track(range(len(numbers)), "aligning the parts", len(numbers), progress)
        poses = [alignment.pose(contrast_picture(whole.make(place)), pictures[place].size) for place in counted]
    images = MadeImages(
        (*upright.shape[:2], *alignment.aligned), lambda place: alignment.draw(upright.make(place), poses[place])
    )
    pictures = tuple(replace(picture, pose=pose) for picture, pose in zip(pictures, poses, strict=True))
    return GoodPictures(images, whole, reader.levels, alignment, pictures)


def _in_tiles(
    reader: _Reader,
    numbers: list[int],
    pictures: tuple[TrainingPicture, ...],
    whole: MadeImages,
    side: int,
    overlap: int,
) -> GoodPictures:
    sizes = tuple(picture.size for picture in pictures)
    tiling = Tiling(tile_size(sizes, side), overlap)
    tiles = TileNumbers(tiling, sizes)

    def make(number: int) -> Tensor:
        picture, tile = tiles.find(number)
        piece = tiling.cut(reader.store[numbers[picture]], tile)
        return to_image(fit_channels(piece, reader.channels), reader.levels)

    images = MadeImages((len(tiles), reader.channels, *tiling.size), make)
    fitting = (fit_channels(reader.store[number], reader.channels) for number in numbers)
    exposures = tuple(measure_exposure(picture, reader.levels) for picture in fitting)
    return GoodPictures(images, whole, reader.levels, Alignment.none(tiling.size), pictures, tiles, exposures)


def _size(picture: Picture) -> tuple[int, int]:
    return picture.shape[0], picture.shape[1]
