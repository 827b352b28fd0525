"""Reading against arrays that were written by other means, and every kind of picture that must be refused."""

import io
import os
import struct
import tracemalloc
import warnings
import zlib
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sclvi.data.reading import MAX_PIXELS, MIN_SIDE, PICTURE_SUFFIXES, read_picture
from sclvi.errors import PictureError


@pytest.fixture(autouse=True)
def quiet(capfd):
    """Neither a warning nor a line on stderr may leak from the decoders."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    assert capfd.readouterr().err == ""


def pixels(shape, dtype=np.uint8, seed=0):
    """A ramp with noise: neighbours are alike, channels differ, no symmetry."""
    rng = np.random.default_rng(seed)
    top = np.iinfo(dtype).max
    ramp = np.linspace(0, 0.8 * top, shape[0] * shape[1]).reshape(shape[:2])
    channels = [ramp * (1 - 0.2 * k) for k in range(shape[2])]
    return (np.stack(channels, -1) + rng.integers(0, top // 10, shape)).astype(dtype)


def tiff(array, *, order="<", deflate=False, planar=False, colour=None, kind=1, orientation=1, extra=None, rows=8):
    """Write a TIFF by hand, directory first, so that nothing of the reader's libraries is in it."""
    height, width, channels = array.shape
    planes = [array[..., k : k + 1] for k in range(channels)] if planar else [array]
    strips = [
        np.ascontiguousarray(plane[y : y + rows].astype(plane.dtype.newbyteorder(order))).tobytes()
        for plane in planes
        for y in range(0, height, rows)
    ]
    strips = [zlib.compress(strip) for strip in strips] if deflate else strips
    tags = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [array.dtype.itemsize * 8] * channels),
        259: ("H", [8 if deflate else 1]),
        262: ("H", [(2 if channels > 2 else 1) if colour is None else colour]),
        273: ("I", [0] * len(strips)),
        274: ("H", [orientation]),
        277: ("H", [channels]),
        278: ("I", [rows]),
        279: ("I", [len(strip) for strip in strips]),
        284: ("H", [2 if planar else 1]),
        339: ("H", [kind] * channels),
    }
    if extra is not None:
        tags[338] = ("H", [extra] if isinstance(extra, int) else list(extra))
    start = 8 + 2 + 12 * len(tags) + 4
    long = {tag: struct.calcsize(f"<{len(v)}{code}") for tag, (code, v) in tags.items()}
    place = start + sum(size for size in long.values() if size > 4)
    tags[273] = ("I", [place + sum(map(len, strips[:n])) for n in range(len(strips))])
    entries, values = b"", b""
    for tag, (code, numbers) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        if len(packed) > 4:
            packed, values = struct.pack(f"{order}I", start + len(values)), values + packed
        entries += struct.pack(f"{order}HHI", tag, 3 if code == "H" else 4, len(numbers)) + packed.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return head + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + values + b"".join(strips)


def png(array, colour, *, before=b"", after=b""):
    """Write a PNG by hand: no row filter, chunks before and after the pixels on request."""
    height, width, _ = array.shape
    depth = array.dtype.itemsize * 8
    rows = b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in array)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", zlib.compress(rows)) + after + chunk(b"IEND", b"")


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def written(tmp_path, data, name="picture.png"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def saved(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def refusal(path):
    with pytest.raises(PictureError) as caught:
        read_picture(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line.removeprefix(f"{path}: ")


def same(read, expected):
    assert read.dtype == expected.dtype
    assert read.dtype.isnative
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize(
    ("format", "channels"),  # no BMP with alpha: programs do not agree on its fourth byte, and Pillow ignores it
    [("PNG", 1), ("PNG", 3), ("PNG", 4), ("TIFF", 1), ("TIFF", 3), ("TIFF", 4), ("BMP", 1), ("BMP", 3)],
)
def test_eight_bits_without_loss(tmp_path, format, channels):
    array = pixels((40, 52, channels))
    same(read_picture(written(tmp_path, saved(Image.fromarray(array.squeeze()), format))), array[..., :3])


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_close_and_in_rgb_order(tmp_path, channels):
    array = np.full((40, 56, channels), (200, 90, 20)[:channels], np.uint8)
    read = read_picture(written(tmp_path, saved(Image.fromarray(array.squeeze()), "JPEG", quality=95), "picture.jpg"))
    assert read.shape == array.shape
    assert np.abs(read.astype(int) - array).max() <= 4


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (6, 4)])
def test_png_of_sixteen_bits_keeps_them(tmp_path, colour, channels):
    array = pixels((33, 47, channels), np.uint16)
    same(read_picture(written(tmp_path, png(array, colour))), array[..., :3])


def test_png_of_sixteen_bits_with_grey_and_alpha_keeps_the_grey(tmp_path):
    array = pixels((33, 47, 2), np.uint16)
    same(read_picture(written(tmp_path, png(array, 4))), array[..., :1])


def test_png_of_sixteen_bits_with_a_transparent_colour_stays_rgb(tmp_path):
    array = pixels((33, 47, 3), np.uint16)
    transparent = chunk(b"tRNS", struct.pack(">HHH", *array[0, 0]))
    same(read_picture(written(tmp_path, png(array, 2, before=transparent))), array)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_tiff_of_sixteen_bits_keeps_them_in_rgb_order(tmp_path, channels, deflate, order):
    array = pixels((33, 47, channels), np.uint16)
    extra = 2 if channels == 4 else None
    path = written(tmp_path, tiff(array, order=order, deflate=deflate, extra=extra), "p.tif")
    same(read_picture(path), array[..., :3])


def test_tiff_of_sixteen_bits_where_white_is_zero(tmp_path):
    array = pixels((33, 47, 1), np.uint16)
    same(read_picture(written(tmp_path, tiff(65535 - array, colour=0))), array)


# channels that are neither grey nor RGB


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("channels", "colour", "extra"),
    [(4, 2, None), (4, 2, (0,)), (2, 1, (0,)), (3, 1, (0, 0)), (5, 2, (0, 0)), (7, 1, None), (16, 1, (0,) * 15)],
)
def test_channels_that_are_not_declared_alpha_stay(tmp_path, channels, colour, extra, dtype, planar):
    whole = np.uint16 if np.dtype(dtype).kind == "f" else dtype
    array = pixels((33, 47, channels), whole)
    array = np.where(array > 60000, 0, array).astype(dtype)  # distinct, and in reach of a float
    kind = 3 if np.dtype(dtype).kind == "f" else 1
    for order, deflate in (("<", False), (">", True)):
        data = tiff(array, order=order, deflate=deflate, planar=planar, colour=colour, kind=kind, extra=extra)
        same(read_picture(written(tmp_path, data)), array.astype(np.float32) if kind == 3 else array)


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize(("alpha", "dtype"), [(1, np.uint16), (2, np.uint8), (2, np.uint16)])
def test_declared_alpha_is_dropped_wherever_it_stands(tmp_path, alpha, planar, dtype):
    for channels, colour, extra, kept in (
        (4, 2, (alpha,), [0, 1, 2]),
        (2, 1, (alpha,), [0]),
        (5, 2, (0, alpha), [0, 1, 2, 3]),
        (5, 2, (alpha, 0), [0, 1, 2, 4]),
    ):
        array = pixels((33, 47, channels), dtype)
        path = written(tmp_path, tiff(array, planar=planar, colour=colour, extra=extra))
        same(read_picture(path), np.ascontiguousarray(array[..., kept]))


def test_many_channels_are_turned_upright_and_white_is_not_zero(tmp_path):
    array = pixels((33, 47, 5), np.uint16)
    for orientation in range(1, 9):
        same(read_picture(written(tmp_path, tiff(array, orientation=orientation))), UPRIGHT[orientation](array))
    same(read_picture(written(tmp_path, tiff(65535 - array, colour=0))), array)


@pytest.mark.parametrize("mode", ["L", "I;16", "F"])
@pytest.mark.parametrize("pages", [2, 3, 16])
def test_grey_pages_are_channels_of_one_picture(tmp_path, mode, pages):
    dtype = {"L": np.uint8, "I;16": np.uint16, "F": np.float32}[mode]
    array = pixels((33, 47, pages), np.uint8).astype(dtype) * (200 if mode == "I;16" else 1)
    images = [Image.fromarray(array[..., page]) for page in range(pages)]
    assert images[0].mode == mode
    path = written(tmp_path, saved(images[0], "TIFF", save_all=True, append_images=images[1:]))
    same(read_picture(path), array)


@pytest.mark.parametrize("other", [Image.new("L", (48, 33)), Image.new("I;16", (47, 33)), Image.new("1", (47, 33))])
def test_pages_that_do_not_fit_each_other_are_refused(tmp_path, other):
    first = Image.fromarray(pixels((33, 47, 1)).squeeze())
    path = written(tmp_path, saved(first, "TIFF", save_all=True, append_images=[other]))
    assert refusal(path) == "has pages of different sizes or kinds; pages are read as channels of one picture"


def test_more_channels_than_sixteen_are_refused(tmp_path):
    assert "has 17 channels; at most 16" in refusal(written(tmp_path, tiff(pixels((33, 47, 17)))))
    page = Image.fromarray(pixels((33, 47, 1)).squeeze())
    path = written(tmp_path, saved(page, "TIFF", save_all=True, append_images=[page] * 16))
    assert "has 17 channels; at most 16" in refusal(path)
    np.save(tmp_path / "many.npy", np.zeros((33, 47, 17), np.uint8))
    assert "at most 16 channels" in refusal(tmp_path / "many.npy")


@pytest.mark.skipif(find_spec("imagecodecs") is not None, reason="imagecodecs is there")
@pytest.mark.parametrize(("order", "name"), [("<", "little"), (">", "big")])
def test_a_bigtiff_is_read_or_named(tmp_path, order, name):
    values = np.arange(40 * 50 * 3, dtype=np.uint16).reshape(40, 50, 3)
    tifffile.imwrite(tmp_path / "a.tif", values, bigtiff=True, byteorder=order)
    if name == "little":
        np.testing.assert_array_equal(read_picture(tmp_path / "a.tif"), values)
    else:
        with pytest.raises(PictureError, match="is a BigTIFF in big-endian order, which is not read"):
            read_picture(tmp_path / "a.tif")


def test_compression_that_tifffile_cannot_undo_alone_is_named(tmp_path):
    page = Image.fromarray(pixels((33, 47, 1)).squeeze())
    path = written(
        tmp_path, saved(page, "TIFF", save_all=True, append_images=[page], compression="tiff_lzw"), "lzw.tif"
    )
    assert "imagecodecs" in refusal(path)


def test_numbers_of_all_channels_together_are_limited(tmp_path):
    small = tiff(np.zeros((40, 40, 16), np.uint8))
    for tag, side in ((256, 9000), (257, 9000)):
        small = small.replace(struct.pack("<HHII", tag, 4, 1, 40), struct.pack("<HHII", tag, 4, 1, side))
    line = refusal(written(tmp_path, small))
    assert line == "is too big: 9000 x 9000 x 16 = 1296.0 million numbers; at most 400 million are read"


# arrays that NumPy saved


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<f4", ">f8", "?"])
@pytest.mark.parametrize("shape", [(33, 47), (33, 47, 1), (33, 47, 4), (33, 47, 16)])
def test_saved_arrays(tmp_path, shape, dtype, order):
    array = np.asarray(np.random.default_rng(0).integers(0, 200, shape), dtype, order=order)
    np.save(tmp_path / "a.npy", array)
    expected = array.reshape(*shape[:2], -1)
    if dtype == "?":
        expected = expected.astype(np.uint8) * 255
    native = {"u1": np.uint8, "u2": np.uint16, "f4": np.float32, "f8": np.float32, "?": np.uint8}[dtype[-2:]]
    same(read_picture(tmp_path / "a.npy"), np.ascontiguousarray(expected).astype(native))


class Trap:
    """Touches a file if it is ever unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_saved_array_of_objects_is_not_unpickled(tmp_path):
    np.save(tmp_path / "evil.npy", np.array([[Trap(tmp_path / "touched")]], object), allow_pickle=True)
    assert "other things than numbers" in refusal(tmp_path / "evil.npy")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.zeros((3, 200, 300)), "array is 3 x 200 x 300; height x width (x channels) is needed"),
        (np.zeros(300), "array is 300;"),
        (np.zeros((20, 30), np.int64), "array holds int64"),
        (np.full((20, 30), np.nan), "NaN, infinite or no-data"),
        (np.full((20, 30), -3.4e38, np.float32), "NaN, infinite or no-data"),
        (np.zeros((20, 30), [("a", "u1")]), "array holds"),
    ],
)
def test_saved_arrays_that_are_no_pictures(tmp_path, array, why):
    np.save(tmp_path / "a.npy", array)
    assert why in refusal(tmp_path / "a.npy")


def test_a_saved_array_that_is_too_big_is_refused_by_its_header(tmp_path):
    np.lib.format.open_memmap(tmp_path / "huge.npy", "w+", np.uint8, (20000, 20000)).flush()  # sparse on the disk
    tracemalloc.start()
    line = refusal(tmp_path / "huge.npy")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert line == "is too big: 20000 x 20000 = 400.0 million pixels; at most 100 million are read"
    assert peak < 2**20


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_float_tiff_as_it_is(tmp_path, channels, dtype):
    array = (pixels((33, 47, channels)) * 3.7 - 100).astype(dtype)
    same(read_picture(written(tmp_path, tiff(array, kind=3))), array.astype(np.float32))


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [1, 3])
def test_float_tiff_with_nan_or_infinity_is_refused(tmp_path, channels, poison):
    array = pixels((33, 47, channels)).astype(np.float32)
    array[20, 30, -1] = poison
    assert refusal(written(tmp_path, tiff(array, kind=3))) == "holds NaN, infinite or no-data values"


def test_a_double_too_large_for_a_float_is_refused(tmp_path):
    array = np.full((33, 47, 1), 1e300)
    assert refusal(written(tmp_path, tiff(array, kind=3))) == "holds NaN, infinite or no-data values"


@pytest.mark.parametrize(
    ("array", "options", "why"),
    [
        (pixels((33, 47, 5), np.uint32), {}, "32-bit unsigned"),
        (pixels((33, 47, 1), np.int16), {"kind": 2}, "16-bit signed"),
        (pixels((33, 47, 1), np.uint32), {}, "32-bit unsigned"),
        (np.zeros((33, 47, 1), np.float16), {"kind": 3}, "16-bit float"),
        (np.zeros((33, 47, 4), np.float32), {"kind": 3, "colour": 5}, "colour space 5"),
        (pixels((33, 47, 1)), {"extra": 2}, "declares 1 of its 1 channels as extra"),
    ],
)
def test_tiff_that_would_be_misread_is_refused(tmp_path, array, options, why):
    assert why in refusal(written(tmp_path, tiff(array, **options)))


def test_one_bit_becomes_black_and_white(tmp_path):
    array = pixels((40, 52, 1)) > 100
    for format in ("PNG", "TIFF", "BMP"):
        path = written(tmp_path, saved(Image.fromarray(array.squeeze()), format))
        same(read_picture(path), np.where(array, 255, 0).astype(np.uint8))


@pytest.mark.parametrize("transparency", [None, 1, bytes([0, 128, 255])])
def test_palette_becomes_rgb(tmp_path, transparency):
    index = np.random.default_rng(0).integers(0, 3, (40, 52)).astype(np.uint8)
    colours = np.array([[250, 10, 20], [30, 240, 50], [60, 70, 230]], np.uint8)
    image = Image.fromarray(index)
    image.putpalette(colours.tobytes())
    options = {} if transparency is None else {"transparency": transparency}
    same(read_picture(written(tmp_path, saved(image, "PNG", **options))), colours[index])


def test_grey_with_alpha_becomes_grey(tmp_path):
    array = pixels((40, 52, 2))
    same(read_picture(written(tmp_path, saved(Image.fromarray(array), "PNG"))), array[..., :1])


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(tmp_path, format):
    ink = np.full((40, 56, 4), (0, 255, 255, 0), np.uint8)  # no cyan: red
    image = Image.frombytes("CMYK", (56, 40), ink.tobytes())
    read = read_picture(written(tmp_path, saved(image, format)))
    assert read.shape == (40, 56, 3)
    assert np.abs(read.astype(int) - (255, 0, 0)).max() <= 4


UPRIGHT = {  # what must be done to a stored array, in NumPy's words
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(np.fliplr(a), -1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(tmp_path, orientation):
    note = Image.Exif()
    note[0x0112] = orientation
    block = note.tobytes().removeprefix(b"Exif\0\0")
    for dtype in (np.uint8, np.uint16):
        array = pixels((33, 47, 3), dtype)
        upright = UPRIGHT[orientation](array)
        for data in (
            png(array, 2, before=chunk(b"eXIf", block)),
            png(array, 2, after=chunk(b"eXIf", block)),
            tiff(array, orientation=orientation),
            tiff(array, orientation=orientation, deflate=True),
        ):
            same(read_picture(written(tmp_path, data)), upright)
    array = pixels((32, 48, 3))
    plain = written(tmp_path, saved(Image.fromarray(array), "JPEG"), "plain.jpg")
    turned = written(tmp_path, saved(Image.fromarray(array), "JPEG", exif=note), "turned.jpg")
    same(read_picture(turned), UPRIGHT[orientation](read_picture(plain)))


@pytest.mark.parametrize(
    "block", [b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\x05\0"]
)
def test_a_broken_exif_block_does_no_harm(tmp_path, block):
    array = pixels((32, 48, 3))
    plain = written(tmp_path, saved(Image.fromarray(array), "JPEG"), "plain.jpg")
    noted = written(tmp_path, saved(Image.fromarray(array), "JPEG", exif=block), "noted.jpg")
    same(read_picture(noted), read_picture(plain))


def test_a_phones_jpeg_with_a_preview_behind_it_is_one_picture(tmp_path):
    image = Image.fromarray(pixels((32, 48, 3)))
    plain = written(tmp_path, saved(image, "JPEG"), "plain.jpg")
    several = written(
        tmp_path, saved(image, "MPO", save_all=True, append_images=[image.resize((16, 16))]), "several.jpg"
    )
    with Image.open(several) as opened:
        assert opened.n_frames == 2
    same(read_picture(several), read_picture(plain))


def test_suffix_does_not_decide(tmp_path):
    array = pixels((40, 52, 3))
    same(read_picture(written(tmp_path, saved(Image.fromarray(array), "PNG"), "wrong.JPG")), array)
    assert {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".npy"} == PICTURE_SUFFIXES


# what must be refused


def test_missing(tmp_path):
    assert refusal(tmp_path / "nothing.png") == "does not exist"


def test_folder_and_pipe_are_refused_at_once(tmp_path):
    (tmp_path / "folder.png").mkdir()
    assert refusal(tmp_path / "folder.png") == "is not a file"
    os.mkfifo(tmp_path / "pipe.png")
    assert refusal(tmp_path / "pipe.png") == "is not a file"


def test_zero_bytes(tmp_path):
    assert refusal(written(tmp_path, b"")) == "is empty (0 bytes)"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(tmp_path):
    path = written(tmp_path, saved(Image.fromarray(pixels((40, 52, 3))), "PNG"))
    path.chmod(0)
    assert "ermission denied" in refusal(path)


def test_an_error_of_the_system_is_told_as_such(tmp_path, monkeypatch):
    path = written(tmp_path, b"\x89PNG")

    def denied(*_args, **_options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", denied)
    assert refusal(path) == "cannot be read: Permission denied"


@pytest.mark.parametrize("data", [b"hello, I am a text\n" * 20, b"x", b"\x89PNG", bytes(1000)])
def test_text_named_png(tmp_path, data):
    assert refusal(written(tmp_path, data)) == "is not a PNG, JPEG, BMP or TIFF picture, nor a NumPy array"


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_animated_and_many_pages(tmp_path, format):
    pages = [Image.fromarray(pixels((40, 52, 3), seed=n)) for n in range(3)]
    data = saved(pages[0], format, save_all=True, append_images=pages[1:])
    assert refusal(written(tmp_path, data)) == "has 3 frames; one picture is needed"


def test_a_gif_is_not_read(tmp_path):
    pages = [Image.fromarray(pixels((40, 52, 1), seed=n).squeeze()) for n in range(3)]
    data = saved(pages[0], "GIF", save_all=True, append_images=pages[1:])
    assert (
        refusal(written(tmp_path, data, "moving.gif")) == "is not a PNG, JPEG, BMP or TIFF picture, nor a NumPy array"
    )


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "TIFF"])
def test_too_small(tmp_path, format):
    assert "is too small: 1 x 1" in refusal(written(tmp_path, saved(Image.new("RGB", (1, 1)), format)))
    assert "is too small: 40 x 15" in refusal(written(tmp_path, saved(Image.new("RGB", (40, MIN_SIDE - 1)), format)))
    path = written(tmp_path, saved(Image.new("RGB", (MIN_SIDE, MIN_SIDE)), format))
    assert read_picture(path).shape == (16, 16, 3)


@pytest.fixture(scope="module")
def huge(tmp_path_factory):
    """20,000 x 20,000 in each format; a whole PNG, of the others as much as their headers promise and no more."""
    folder = tmp_path_factory.mktemp("huge")
    side = 20_000
    packer = zlib.compressobj(1)
    row = bytes(1 + side // 8)
    rows = b"".join(packer.compress(row * 100) for _ in range(side // 100)) + packer.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    whole = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    small = saved(Image.new("RGB", (40, 40)), "JPEG")
    at = small.index(b"\xff\xc0") + 5
    jpeg = small[:at] + struct.pack(">HH", side, side) + small[at + 4 :]
    bmp = bytearray(saved(Image.new("RGB", (40, 40)), "BMP"))
    bmp[18:26] = struct.pack("<ii", side, side)
    flat = tiff(np.zeros((40, 40, 3), np.uint16))
    flat = flat.replace(struct.pack("<HHII", 256, 4, 1, 40), struct.pack("<HHII", 256, 4, 1, side))
    flat = flat.replace(struct.pack("<HHII", 257, 4, 1, 40), struct.pack("<HHII", 257, 4, 1, side))
    return [written(folder, data, name) for name, data in
            (("a.png", whole), ("b.jpg", jpeg), ("c.bmp", bytes(bmp)), ("d.tif", flat))]  # fmt: skip


def test_too_big_is_refused_by_its_header(huge, monkeypatch):
    def decoded(*_args, **_options):
        raise AssertionError("a picture that is too big was decoded")

    for place in ("PIL.ImageFile.ImageFile.load", "PIL.TiffImagePlugin.TiffImageFile.load", "cv2.imdecode"):
        monkeypatch.setattr(place, decoded)
    for path in huge:
        tracemalloc.start()
        line = refusal(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert line == "is too big: 20000 x 20000 = 400.0 million pixels; at most 100 million are read"
        assert peak < 4 * 2**20


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "TIFF"])
def test_pillows_own_limit_does_not_speak(tmp_path, monkeypatch, format):
    path = written(tmp_path, saved(Image.new("RGB", (40, 40)), format))
    assert Image.MAX_IMAGE_PIXELS < MAX_PIXELS  # so that a picture between the two would make Pillow warn
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    monkeypatch.setattr("sclvi.data.reading._BAND", 400)  # px; Pillow up to 12 asks for each part that is copied
    with pytest.warns(Image.DecompressionBombWarning), Image.open(path):
        pass
    assert read_picture(path).shape == (40, 40, 3)


def saved_array(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def whole_pictures():
    """A small picture of every route through the reader."""
    eight, sixteen = pixels((32, 40, 3)), pixels((32, 40, 3), np.uint16)
    grey = Image.fromarray(eight[..., 0])
    return {
        "png": saved(Image.fromarray(eight), "PNG"),
        "png16": png(sixteen, 2),
        "jpeg": saved(Image.fromarray(eight), "JPEG"),
        "progressive jpeg": saved(Image.fromarray(eight), "JPEG", progressive=True),
        "bmp": saved(Image.fromarray(eight), "BMP"),
        "tiff": tiff(eight),
        "tiff deflate": tiff(eight, deflate=True),
        "tiff lzw, directory last": saved(Image.fromarray(eight), "TIFF", compression="tiff_lzw"),
        "tiff16": tiff(sixteen),
        "tiff16 deflate": tiff(sixteen, deflate=True),
        "tiff16 opencv": cv2.imencode(".tif", sixteen)[1].tobytes(),
        "tiff float": tiff(eight.astype(np.float32), kind=3),
        "tiff of five": tiff(pixels((32, 40, 5)), planar=True),
        "tiff of five, deflate": tiff(pixels((32, 40, 5), np.uint16), deflate=True),
        "tiff of two pages": saved(grey, "TIFF", save_all=True, append_images=[grey]),
        "npy": saved_array(eight),
    }


WHOLE = whole_pictures()


@pytest.mark.parametrize("kind", WHOLE)
def test_cut_short(tmp_path, kind):
    data = WHOLE[kind]
    read_picture(written(tmp_path, data))
    for length in sorted({*range(30, len(data) - 16, max(1, len(data) // 60)), len(data) // 2, len(data) - 16}):
        assert refusal(written(tmp_path, data[:length])).startswith("is damaged or cut short")


@pytest.mark.parametrize("kind", ["png", "png16"])
def test_a_flipped_bit_in_a_png_is_seen(tmp_path, kind):
    data = bytearray(WHOLE[kind])
    data[data.index(b"IDAT") + 200] ^= 1
    assert "damaged" in refusal(written(tmp_path, bytes(data)))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(WHOLE)), st.integers(0, 10**6), st.binary(min_size=1, max_size=8))
def test_whatever_the_damage_only_a_picture_error_comes(tmp_path, capfd, kind, place, noise):
    data = bytearray(WHOLE[kind])
    place %= min(len(data), 400)  # headers break in more ways than pixels
    data[place : place + len(noise)] = noise
    path = written(tmp_path, bytes(data))
    try:
        picture = read_picture(path)
    except PictureError as error:
        assert str(error).startswith(f"{path}: ")
        assert "\n" not in str(error)
    else:
        assert picture.ndim == 3
        assert picture.dtype in (np.uint8, np.uint16, np.float32)
    capfd.readouterr()  # inside Pillow, libtiff tells stderr of damaged strips, and cannot be told not to


@pytest.mark.parametrize("channels", [1, 5])
def test_float_is_as_it_is_where_white_is_zero(tmp_path, channels):
    array = (pixels((33, 47, channels)) * 3.7 - 100).astype(np.float32)
    same(read_picture(written(tmp_path, tiff(array, kind=3, colour=0))), array)


def test_as_many_pixels_and_numbers_as_may_be_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("sclvi.data.reading.MAX_PIXELS", 20 * 30)
    monkeypatch.setattr("sclvi.data.reading._MAX_VALUES", 4 * 20 * 30)
    same(read_picture(written(tmp_path, tiff(pixels((20, 30, 4)), extra=0))), pixels((20, 30, 4)))
    assert "pixels; at most" in refusal(written(tmp_path, tiff(pixels((20, 31, 3)))))
    assert "numbers; at most" in refusal(written(tmp_path, tiff(pixels((20, 30, 5)))))


def test_a_picture_of_several_bands_is_put_together_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr("sclvi.data.reading._BAND", 47 * 10)
    crops, crop = [], Image.Image.crop
    monkeypatch.setattr(Image.Image, "crop", lambda image, box: crops.append(box[1]) or crop(image, box))
    array = pixels((33, 47, 3))
    same(read_picture(written(tmp_path, saved(Image.fromarray(array), "PNG"))), array)
    assert crops == [0, 10, 20, 30]  # a few rows at once, or Pillow makes two copies more of all of them


def test_a_palette_with_alpha_becomes_rgb(tmp_path):
    palette = Image.fromarray(pixels((33, 47, 3))).quantize(16)
    both = palette.convert("PA")
    same(read_picture(written(tmp_path, saved(both, "TIFF"))), np.asarray(palette.convert("RGB")))


def test_numbers_of_a_saved_array_are_limited_too(tmp_path, monkeypatch):
    monkeypatch.setattr("sclvi.data.reading._MAX_VALUES", 4 * 20 * 30)
    for channels, name in ((4, "four.npy"), (5, "five.npy")):
        np.save(tmp_path / name, pixels((20, 30, channels)))
    same(read_picture(tmp_path / "four.npy"), pixels((20, 30, 4)))
    assert "numbers; at most" in refusal(tmp_path / "five.npy")
