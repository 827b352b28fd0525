"""Reading: one picture file into one array, or one line that says why not.

Pillow decodes; OpenCV decodes 16-bit and float pictures, which Pillow would cut down to 8 bits or refuse; tifffile
decodes TIFF with channels that neither knows. No channel is made or lost, but for what a file itself declares as alpha.
The header is judged before anything is decoded, so that a picture that is too big costs no memory.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL.BmpImagePlugin import BmpImageFile
from PIL.Image import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from sclvi.data.arrays import MAX_CHANNELS, MAX_PIXELS, MIN_SIDE, Picture, as_float32, as_picture
from sclvi.errors import PictureError, SclviError

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".npy"})

_BROKEN = "is damaged or cut short"
_UNSIGNED, _FLOAT = 1, 3  # TIFF's SampleFormat
_ALPHA = (1, 2)  # of TIFF's ExtraSamples, associated and not; 0 says that a channel is there, but not what it is
_MAX_VALUES = 4 * MAX_PIXELS  # of all channels together
_ORIENTATION = 0x0112
_BAND = 2**22  # px that are copied at once
_QUIET = threading.RLock()


def read_picture(path: Path) -> Picture:
    """Read a PNG, JPEG, BMP or TIFF file, the right way up, or an array that NumPy saved.

    Returns H x W x C: uint8, uint16 or float32 (values as they are), C from 1 to MAX_CHANNELS. Alpha that the file
    declares as such is dropped; a fourth channel of a TIFF that is not declared alpha stays. One-channel pages of
    a TIFF are the channels of one picture. Palette and CMYK become RGB, 1 bit becomes 0 and 255; arrays as of
    `as_picture`. H and W are at least MIN_SIDE, their product at most MAX_PIXELS. Raises PictureError, one line that
    starts with the path, for whatever cannot be read so.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe or a device would be read without end
            _refuse("is not a file")
        with path.open("rb") as file:
            picture = _decode(file)
    except SclviError as reason:
        problem = str(reason)
    except FileNotFoundError:
        problem = "does not exist"
    except OSError as error:
        # without a number it is a decoder that speaks, not the system
        problem = f"cannot be read: {error.strerror}" if error.errno else f"{_BROKEN} ({_one_line(error)})"
    except MemoryError:
        problem = "does not fit into memory"
    except Exception as error:
        # on damaged bytes the decoders raise nearly anything: SyntaxError, struct.error, zlib.error
        problem = f"{_BROKEN} ({_one_line(error)})"
    else:
        return picture
    raise PictureError(f"{path}: {problem}")


def _decode(file: BinaryIO) -> NDArray[Any]:
    """Find the format by the first bytes, whatever the file is called."""
    start = file.read(26)
    file.seek(0)
    if not start:
        _refuse("is empty (0 bytes)")
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return _decode_png(file, start)
    if start.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return _decode_tiff(file)
    if start.startswith(b"\xff\xd8\xff"):
        # The class and not Image.open: that would take a phone's JPEG with a preview behind it for two pictures,
        # and would answer a large picture with a warning of its own.
        with _quiet():
            jpeg = JpegImageFile(file)
            orientation = _orientation(jpeg)
        _check_size(*jpeg.size)
        return _upright(_pixels(jpeg), orientation)
    if start.startswith(b"BM"):
        bitmap = BmpImageFile(file)
        _check_size(*bitmap.size)
        return _pixels(bitmap)
    if start.startswith(b"\x93NUMPY"):
        return _decode_npy(file)
    _refuse("is not a PNG, JPEG, BMP or TIFF picture, nor a NumPy array")


def _decode_png(file: BinaryIO, start: bytes) -> NDArray[Any]:
    with _quiet():
        png = PngImageFile(file)
        _check_size(*png.size)
    _check_frames(int(getattr(png, "n_frames", 1)))
    png.verify()  # the checksum of every chunk: loading alone lets some damage through
    file.seek(0)
    with _quiet():
        png = PngImageFile(file)
    depth, colour = start[24], start[25]
    if depth == 16:
        channels = {0: 1, 2: 3, 4: 1, 6: 3}[colour]
        file.seek(0)
        picture = _decode_deep(file.read())[..., :channels]
    else:
        picture = _pixels(png)
    with _quiet():
        return _upright(picture, _orientation(png))  # PNG may carry its EXIF behind the pixels


@dataclass(frozen=True)
class _TiffHeader:
    """What the first directory of a TIFF file says of its picture."""

    width: int
    height: int
    bits: int
    kind: int  # SampleFormat
    channels: int
    colour: int  # PhotometricInterpretation: 0 white is zero, 1 black is zero, 2 RGB, 5 CMYK
    planar: bool
    extra: tuple[int, ...]  # ExtraSamples: what the last channels are
    orientation: int
    end: int  # the last byte of the pixels is before this
    frames: int

    @property
    def deep(self) -> bool:
        return self.kind == _FLOAT or self.bits == 16

    @property
    def ordinary(self) -> bool:
        """Grey or RGB on one page, perhaps with alpha: what Pillow, and OpenCV where it is deep, decode rightly."""
        colours = 3 if self.colour == 2 else 1
        one_alpha_at_most = self.extra == () or (len(self.extra) == 1 and self.extra[0] in _ALPHA)
        if self.frames > 1 or self.channels != colours + len(self.extra) or not one_alpha_at_most:
            return False
        if self.channels == 2:
            return not (self.deep or self.planar)
        return not (self.deep and self.planar and self.channels > 1)


def _decode_tiff(file: BinaryIO) -> Picture:
    try:
        with _quiet():
            header = _tiff_header(file)
    except KeyError as tag:
        raise SclviError(f"{_BROKEN} (its TIFF tag {tag} is missing)") from None
    plain = header.colour in (0, 1, 2)
    channels = header.channels * header.frames
    _check_size(header.width, header.height, channels)
    if header.channels > 1 or not plain:
        _check_frames(header.frames)
    if channels > MAX_CHANNELS:
        _refuse(f"has {channels} channels; at most {MAX_CHANNELS} are read")
    if header.end > file.seek(0, 2):  # seen here, before libtiff prints about it on stderr
        _refuse(f"{_BROKEN} (its pixels end after the file)")
    file.seek(0)
    if not ((header.kind == _UNSIGNED and header.bits <= 16) or (header.kind == _FLOAT and header.bits in (32, 64))):
        kind = {_UNSIGNED: "unsigned", 2: "signed", _FLOAT: "float"}.get(header.kind, "undefined")
        _refuse(f"holds {header.bits}-bit {kind} numbers; unsigned 8 and 16 bit and float are read")
    if plain and not header.ordinary:
        return _finite(_decode_planes(file, header))
    if plain and header.deep:
        return _finite(_decode_deep_tiff(file, header))
    if header.kind == _FLOAT:
        _refuse(f"is a kind of TIFF that is not read (float of colour space {header.colour})")
    with _quiet():
        return _pixels(TiffImageFile(file))  # Pillow itself turns a TIFF upright


def _tiff_header(file: BinaryIO) -> _TiffHeader:
    """Read the first directory and count those behind it."""
    start = file.read(8)
    if start.startswith(b"MM\0+"):  # Pillow takes it for an ordinary one
        _refuse("is a BigTIFF in big-endian order, which is not read; little-endian is")
    if b"+" in start[2:4]:  # BigTIFF
        start += file.read(8)
    directory = ImageFileDirectory_v2(start)
    file.seek(directory.next)
    directory.load(file)
    tags: dict[int, Any] = {tag: directory[tag] for tag in directory}
    bits = tags.get(258, (1,))
    offsets, counts = (tags[273], tags.get(279)) if 273 in tags else (tags[324], tags.get(325))  # strips, or tiles
    seen = {0}
    behind = ImageFileDirectory_v2(start)
    while behind.next not in seen:
        seen.add(behind.next)
        file.seek(behind.next)
        behind.load(file)
    return _TiffHeader(
        width=int(tags[256]),
        height=int(tags[257]),
        bits=max(bits),
        kind=max(tags.get(339, (_UNSIGNED,))),
        channels=int(tags.get(277, 1)),
        colour=int(tags.get(262, 1)),
        planar=tags.get(284, 1) == 2,
        extra=tuple(tags.get(338, ())),
        orientation=int(tags.get(274, 1)),
        end=max(offset + count for offset, count in zip(offsets, counts or [0] * len(offsets), strict=True)),
        frames=len(seen) - 1,
    )


def _decode_planes(file: BinaryIO, header: _TiffHeader) -> Picture:
    colours = header.channels - len(header.extra)
    if colours < 1:
        _refuse(f"{_BROKEN} (it declares {len(header.extra)} of its {header.channels} channels as extra)")
    from sclvi.data.planes import decode_planes  # few pictures need tifffile, and every command would import it

    picture = decode_planes(file, header.frames)
    alpha = [colours + place for place, meaning in enumerate(header.extra) if meaning in _ALPHA]
    picture = np.delete(picture, alpha, axis=2)
    if header.colour == 0 and header.kind == _UNSIGNED:
        picture = np.iinfo(picture.dtype).max - picture
    return _upright(picture, header.orientation)


def _decode_deep_tiff(file: BinaryIO, header: _TiffHeader) -> Picture:
    """Decode 16-bit and float grey, RGB and RGBA."""
    picture = _decode_deep(file.read())
    if picture.shape[2] != header.channels or picture.dtype.kind not in "uf":
        _refuse(f"is a kind of TIFF that is not read ({header.channels} channels of {header.bits} bits)")
    picture = np.ascontiguousarray(picture[..., :3])
    return 65535 - picture if header.colour == 0 and header.kind == _UNSIGNED else picture


def _finite(picture: Picture) -> Picture:
    """Float as float32."""
    return as_float32(picture) if picture.dtype.kind == "f" else picture


def _decode_npy(file: BinaryIO) -> Picture:
    try:
        stored = np.load(file.name, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise SclviError(f"{_BROKEN}, or holds other things than numbers ({_one_line(error)})") from None
    if stored.ndim in (2, 3):
        _check_big(stored.shape[1], stored.shape[0], stored.shape[2] if stored.ndim == 3 else 1)
    return np.array(as_picture(stored), order="C")


def _decode_deep(data: bytes) -> NDArray[Any]:
    """Decode with OpenCV at the file's own depth, H x W x C with RGB or RGBA order.

    OpenCV turns TIFF upright and leaves PNG as it is; it returns nothing for a picture that is cut short.
    """
    with _QUIET:  # the level of OpenCV's log belongs to the whole process
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error as error:
            raise SclviError(f"{_BROKEN} ({_one_line(error)})") from None
        finally:
            cv2.utils.logging.setLogLevel(level)
    if decoded is None:
        _refuse(_BROKEN)
    if decoded.ndim == 2:
        return decoded[..., None]
    return np.ascontiguousarray(decoded[..., [2, 1, 0, 3][: decoded.shape[2]]])


def _pixels(image: Image) -> NDArray[Any]:
    """Decode with Pillow, H x W x C uint8 or uint16."""
    image.load()
    if image.mode in ("P", "PA"):
        image.info.pop("transparency", None)  # or Pillow warns; the colours under the transparency are wanted
        image = image.convert("RGB")
    elif image.mode in ("1", "LA", "La"):
        image = image.convert("L")
    elif image.mode in ("RGBA", "CMYK", "YCbCr", "HSV", "RGBX", "RGBa"):
        image = image.convert("RGB")
    elif image.mode not in ("L", "RGB") and not image.mode.startswith("I;16"):
        _refuse(f"holds pixels of a kind that is not read ({image.mode})")
    picture = _copy(image)
    picture = picture.astype(picture.dtype.newbyteorder("="), copy=False)
    return picture if picture.ndim == 3 else picture[..., None]


def _copy(image: Image) -> NDArray[Any]:
    """The pixels as an array, band by band: in one go, Pillow makes two copies more on the way."""
    height = max(1, _BAND // image.width)
    bands = (
        np.asarray(image.crop((0, top, image.width, min(top + height, image.height))))
        for top in range(0, image.height, height)
    )
    first = next(bands)
    picture = np.empty((image.height, *first.shape[1:]), first.dtype)
    picture[: len(first)] = first
    for number, band in enumerate(bands, start=1):
        picture[number * height : number * height + len(band)] = band
    return picture


def _orientation(image: Image) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) where there is none or the EXIF block is broken."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a broken note about the picture does not make the picture unreadable
        return 1


def _upright(picture: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo an EXIF orientation; H x W x C -> the same, or W x H x C for 5 to 8."""
    if orientation in (5, 6, 7, 8):
        picture = picture.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    return np.ascontiguousarray(picture)


def _check_size(width: int, height: int, channels: int = 1) -> None:
    _check_big(width, height, channels)
    if min(width, height) < MIN_SIDE:
        _refuse(f"is too small: {width} x {height} pixels; each side needs at least {MIN_SIDE}")


def _check_big(width: int, height: int, channels: int) -> None:
    for what, count, most in (
        (f"{width} x {height}", width * height, MAX_PIXELS),
        (f"{width} x {height} x {channels}", width * height * channels, _MAX_VALUES),
    ):
        if count > most:
            unit = "pixels" if most == MAX_PIXELS else "numbers"
            millions = f"{count / 1e6:.1f} million {unit}; at most {most // 10**6} million are read"
            _refuse(f"is too big: {what} = {millions}")


def _check_frames(frames: int) -> None:
    if frames > 1:
        _refuse(f"has {frames} frames; one picture is needed")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Pillow's warnings; under a lock, because Python's list of filters belongs to the whole process."""
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _refuse(why: str) -> NoReturn:
    raise SclviError(why)
