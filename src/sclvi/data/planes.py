"""TIFF whose channels are not just grey or RGB, or lie in planes or pages of their own: what only tifffile decodes."""

import logging
from typing import BinaryIO

import numpy as np
from tifffile import TiffFile, TiffPage

from sclvi.data.arrays import Picture
from sclvi.errors import SclviError

# What it warns of, it refuses or is refused here. Without a handler, Python would print it on stderr.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_BROKEN = "is damaged or cut short (some of its pixels are not in the file)"
_DEPTHS = {"u1": 8, "u2": 16, "f4": 32, "f8": 64}  # bits


def decode_planes(file: BinaryIO, pages_expected: int) -> Picture:
    """Decode a TIFF file, one page with any number of channels or one channel on each page, as it is stored.

    Returns H x W x C uint8, uint16, float32 or float64 in the machine's byte order, not turned upright. Raises
    SclviError without the path, or, on damaged bytes, nearly anything. How big the picture is should be known before.
    """
    size = file.seek(0, 2)
    file.seek(0)
    with TiffFile(file) as tiff:
        pages = [page.aspage() for page in tiff.pages]
        if len(pages) != pages_expected:
            raise SclviError(_BROKEN)  # tifffile only logs that a page is not where it should be
        for page in pages:
            _check_page(page, pages[0], size)
        planes = [_decode_page(page) for page in pages]
    picture = np.concatenate(planes, axis=2)
    return picture.astype(picture.dtype.newbyteorder("="), copy=False)


def _check_page(page: TiffPage, first: TiffPage, size: int) -> None:
    if (page.shaped, page.dtype, page.photometric) != (first.shaped, first.dtype, first.photometric):
        raise SclviError("has pages of different sizes or kinds; pages are read as channels of one picture")
    if page.dtype is None or _DEPTHS.get(page.dtype.kind + str(page.dtype.itemsize)) != page.bitspersample:
        raise SclviError(f"holds {page.bitspersample}-bit numbers in several channels; 8 and 16 bit and float are read")
    if page.shaped[1] > 1:
        raise SclviError(f"is a volume of {page.shaped[1]} slices; one picture is needed")
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if not ends or max(ends) > size or 0 in page.databytecounts:  # tifffile would put zeros there without a word
        raise SclviError(_BROKEN)


def _decode_page(page: TiffPage) -> Picture:
    try:
        stored = page.asarray(squeeze=False, maxworkers=1)  # planes x 1 x H x W x interleaved channels
    except ValueError as error:
        if "imagecodecs" in str(error):
            raise SclviError(
                "is compressed in a way that takes the imagecodecs package to read (pip install imagecodecs), "
                "or save it uncompressed or with deflate"
            ) from None
        raise
    return np.concatenate(list(stored[:, 0]), axis=2)
