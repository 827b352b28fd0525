"""Whether two pictures have one shape, whatever their sizes."""

import math

_LARGEST = 0.05  # that the logarithms of width / height may differ by: the sides of a small picture are rounded


def have_one_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Of two sizes, (height, width) each, px."""
    aspects = [width / height for height, width in (size, other)]
    return abs(math.log(aspects[0] / aspects[1])) <= _LARGEST
