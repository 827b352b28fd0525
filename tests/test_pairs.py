from itertools import product

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sclvi.context.pairs import draw_pairs
from sclvi.context.positions import TWELVE_POSITIONS


def test_twelve_positions_are_all_pairs_of_cells_up_to_order():
    cells = list(product(range(3), range(3)))
    offsets = {(b[0] - a[0], b[1] - a[1]) for a, b in product(cells, cells) if a != b}
    assert len(offsets) == 24
    assert set(TWELVE_POSITIONS) | {(-row, -column) for row, column in TWELVE_POSITIONS} == offsets
    assert len(set(TWELVE_POSITIONS)) == 12


@settings(max_examples=60)
@given(
    height=st.integers(3, 80),
    width=st.integers(3, 80),
    patch=st.sampled_from([32, 64]),
    seed=st.integers(0, 2**31),
)
def test_each_pair_lies_in_the_region_of_its_class(height, width, patch, seed):
    stride = 4
    pairs = draw_pairs(200, (height, width), patch, stride, torch.Generator().manual_seed(seed))
    offsets = torch.tensor(TWELVE_POSITIONS)[pairs.classes]
    axes = (
        (pairs.first_rows, pairs.second_rows, offsets[:, 0], height),
        (pairs.first_columns, pairs.second_columns, offsets[:, 1], width),
    )
    for first, second, offset, length in axes:
        assert ((first >= 0) & (first < length) & (second >= 0) & (second < length)).all()
        moved = (second - first) * stride  # px
        assert (moved.sign() == offset.sign()).all()
        if length > 2 * patch // stride:  # room for the whole grid
            low, high = 3 * patch // 4, patch
            assert (moved.abs() >= low * offset.abs()).all()
            assert (moved.abs() < high * offset.abs().clamp_min(1)).all()


def test_classes_are_drawn_alike_often(generator):
    classes = draw_pairs(24_000, (57, 57), 32, 4, generator).classes
    counts = torch.bincount(classes, minlength=12)
    assert ((counts > 1800) & (counts < 2200)).all()  # 2000 +- 4.6 sigma
