"""The twelve relative positions of two patches in a 3 x 3 grid (section 3.1, Figure 2b)."""

# (rows, columns) that the second patch lies below and right of the first. Of the 24 offsets between two different cells
# of the grid, one of each pair (o, -o): the other is the same pair of cells taken in the other order.
TWELVE_POSITIONS = (
    (0, 1), (1, 0), (0, 2), (2, 0), (1, 1), (1, -1), (1, 2), (1, -2), (2, 1), (2, -1), (2, 2), (2, -2),
)  # fmt: skip
