from itertools import combinations, permutations, product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from sclvi.context.pretexts import PRETEXTS
from sclvi.context.pretexts.colour import Colour, channel_orders
from sclvi.context.pretexts.eight import EIGHT_NEIGHBOURS
from sclvi.context.pretexts.nothing import NoPretext
from sclvi.context.pretexts.offsets import draw_offset_pairs
from sclvi.context.pretexts.puzzle import Puzzle, distant_orders
from sclvi.context.pretexts.rotation import Rotation
from sclvi.context.pretexts.rotation_colour import RotationColour
from sclvi.context.pretexts.twelve import TWELVE_POSITIONS
from sclvi.encoders.places import Frame

TABLES = {"twelve": TWELVE_POSITIONS, "eight": EIGHT_NEIGHBOURS}
ASKING = [name for name in PRETEXTS if name != "none"]

frames = st.builds(
    Frame,
    view_count=st.sampled_from([2, 6, 16]),
    height=st.integers(64, 320),
    width=st.integers(64, 320),
    patch=st.sampled_from([32, 64]),
    placement=st.sampled_from([1, 4]),
)
seeds = st.integers(0, 2**31)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def views_that_tell_places(frame):
    """Views whose pixels hold (view, row, column)."""
    shape = (frame.view_count, frame.height, frame.width)
    return torch.stack(torch.meshgrid(*map(torch.arange, shape), indexing="ij"), dim=1)


def read(views, places, patch):
    """What a reader would see, one crop after the other: N x C x patch x patch."""
    triples = zip(places.views.tolist(), places.tops.tolist(), places.lefts.tolist(), strict=True)
    return torch.stack([views[view, :, top : top + patch, left : left + patch] for view, top, left in triples])


def pictures_and_their_second_views(pictures, channels, height, width):
    """Second views are the first ones + 10: light differs, content does not."""
    first = torch.rand(pictures, channels, height, width, generator=seeded(1))
    return torch.cat([first, first + 10])


# All pretexts


def test_registry_holds_all_pretexts_by_name():
    assert list(PRETEXTS) == ["twelve", "eight", "puzzle", "rotation", "colour", "rotation_colour", "none"]
    assert all(pretext.name == name for name, pretext in PRETEXTS.items())


@pytest.mark.parametrize("name", ASKING)
@settings(max_examples=40)
@given(frame=frames, seed=seeds)
def test_all_patches_lie_in_the_view_at_multiples_of_the_placement(name, frame, seed):
    changes = torch.zeros(frame.view_count, dtype=torch.long)
    questions = PRETEXTS[name](3).draw(50, frame, changes, seeded(seed))
    assert questions.answers.shape == (50,)
    for places in questions.patches:
        assert ((places.views >= 0) & (places.views < frame.view_count)).all()
        for starts, length in ((places.tops, frame.height), (places.lefts, frame.width)):
            assert starts.shape == (50,)
            assert starts.dtype == torch.int64
            assert ((starts >= 0) & (starts <= length - frame.patch) & (starts % frame.placement == 0)).all()


@pytest.mark.parametrize("name", ASKING)
@pytest.mark.parametrize(("height", "width"), [(128, 128), (96, 130)])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_a_step_trains_the_whole_classifier(name, height, width, channels, generator):
    torch.manual_seed(0)
    pretext = PRETEXTS[name](channels)
    views, changes = pretext.change_views(torch.rand(8, channels, height, width), generator)
    frame = Frame(8, views.shape[2], views.shape[3], 32, 4)
    questions = pretext.draw(16, frame, changes, generator)
    codes = tuple(torch.randn(len(places.views), 64, requires_grad=True) for places in questions.patches)
    logits = pretext(codes)
    assert logits.shape[0] == 16
    assert (questions.answers >= 0).all() and (questions.answers < logits.shape[1]).all()
    loss = F.cross_entropy(logits, questions.answers)
    loss.backward()
    assert torch.isfinite(loss)
    reached = [leaf.grad is not None for leaf in (*pretext.parameters(), *codes)]
    assert all(reached)
    if logits.shape[1] > 1:  # with one class the loss is 0 whatever the codes are
        assert all(leaf.grad.abs().sum() > 0 for leaf in (*pretext.parameters(), *codes))


@pytest.mark.parametrize("name", PRETEXTS)
def test_the_generator_is_the_only_source_of_randomness(name):
    pretext = PRETEXTS[name](3)
    views = torch.rand(8, 3, 100, 90)

    def step():
        generator = seeded(5)
        changed, changes = pretext.change_views(views, generator)
        questions = pretext.draw(20, Frame(8, changed.shape[2], changed.shape[3], 32, 4), changes, generator)
        placed = [field for one in questions.patches for field in (one.views, one.tops, one.lefts)]
        return [changed, changes, questions.answers, *placed]

    torch.manual_seed(1)
    before = torch.get_rng_state()
    once = step()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(once, step(), strict=True))


def test_no_pretext_asks_nothing_and_learns_nothing(generator):
    pretext = NoPretext(3)
    views = torch.rand(4, 3, 64, 80)
    changed, changes = pretext.change_views(views, generator)
    assert torch.equal(changed, views) and changes.tolist() == [0, 0, 0, 0]
    questions = pretext.draw(16, Frame(4, 64, 80, 32, 4), changes, generator)
    assert questions.patches == ()
    assert questions.answers.shape == (0,) and questions.answers.dtype == torch.int64
    assert list(pretext.parameters()) == []
    assert len(pretext(())) == 0


# Relative positions


def test_twelve_positions_are_all_pairs_of_cells_up_to_order():
    cells = list(product(range(3), range(3)))
    offsets = {(b[0] - a[0], b[1] - a[1]) for a, b in product(cells, cells) if a != b}
    assert len(offsets) == 24
    assert set(TWELVE_POSITIONS) | {(-row, -column) for row, column in TWELVE_POSITIONS} == offsets
    assert len(set(TWELVE_POSITIONS)) == 12


def test_eight_neighbours_are_the_cells_around_the_middle_one():
    around = [(row - 1, column - 1) for row, column in product(range(3), range(3)) if (row, column) != (1, 1)]
    assert sorted(EIGHT_NEIGHBOURS) == sorted(around)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@settings(max_examples=60)
@given(frame=frames, seed=seeds)
def test_each_pair_lies_in_the_region_of_its_class(table, frame, seed):
    questions = draw_offset_pairs(200, table, frame, seeded(seed))
    first, second = questions.patches
    assert torch.equal(first.views, torch.arange(200) % (frame.view_count // 2))
    assert torch.equal(second.views, first.views + frame.view_count // 2)
    offsets = torch.tensor(table)[questions.answers]
    assert (offsets < 0).any() and (offsets > 0).any()
    axes = ((first.tops, second.tops, frame.height), (first.lefts, second.lefts, frame.width))
    for axis, (start, other, length) in enumerate(axes):
        moved, offset = other - start, offsets[:, axis]
        reach = max(abs(one[axis]) for one in table)
        if (length - frame.patch) // reach < frame.placement:  # no room to step aside
            assert (moved == 0).all()
        else:
            assert torch.equal(moved.sign(), offset.sign())
        if length >= (reach + 1) * frame.patch:  # room for the whole grid
            low, high = 3 * frame.patch // 4, frame.patch
            assert (moved.abs() >= low * offset.abs()).all()
            assert (moved.abs() < high * offset.abs().clamp_min(1)).all()


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_positions_are_drawn_alike_often(table, generator):
    answers = draw_offset_pairs(2000 * len(table), table, Frame(8, 256, 256, 32, 4), generator).answers
    counts = torch.bincount(answers, minlength=len(table))
    assert len(counts) == len(table)
    assert ((counts > 1800) & (counts < 2200)).all()  # 2000 +- 4.7 sigma


def test_pretexts_of_position_ask_their_own_table(generator):
    for name, table in TABLES.items():
        pretext = PRETEXTS[name](3)
        questions = pretext.draw(500, Frame(2, 256, 256, 64, 1), torch.zeros(2, dtype=torch.long), generator)
        first, second = questions.patches
        signs = torch.stack([second.tops - first.tops, second.lefts - first.lefts], dim=1).sign()
        assert torch.equal(signs, torch.tensor(table)[questions.answers].sign())
        assert pretext((torch.zeros(5, 64), torch.zeros(5, 64))).shape == (5, len(table))


# Puzzle


def orders_by_the_text(tiles, count):
    """Algorithm 1 of Noroozi & Favaro, order by order, with our way to break ties."""
    left = [tuple(order) for order in permutations(range(tiles))]
    chosen = [left.pop(0)]
    while len(chosen) < count:
        best, best_rank = None, (-1, -1)
        for order in left:
            distances = [sum(a != b for a, b in zip(order, other, strict=True)) for other in chosen]
            if (sum(distances), min(distances)) > best_rank:
                best, best_rank = order, (sum(distances), min(distances))
        left.remove(best)
        chosen.append(best)
    return tuple(chosen)


@pytest.mark.parametrize(("tiles", "count"), [(4, 1), (4, 2), (4, 5), (4, 12), (4, 24), (5, 120)])
def test_distant_orders_are_chosen_as_a_slow_loop_does(tiles, count):
    assert distant_orders(tiles, count) == orders_by_the_text(tiles, count)


def test_puzzle_orders_are_different_and_far_apart():
    orders = distant_orders(9, 64)
    assert len(set(orders)) == 64
    assert all(sorted(order) == list(range(9)) for order in orders)
    distances = [sum(a != b for a, b in zip(one, other, strict=True)) for one, other in combinations(orders, 2)]
    assert min(distances) >= 4
    # Any 64 orders have a mean of at most that of the 9 values spread evenly over the 64 in each place: 7 or 8 of each.
    pairs_alike = 9 * (8 * (7 * 6 // 2) + 8 * 7 // 2)
    assert sum(distances) == 9 * len(distances) - pairs_alike


def cells_by_rank(starts):
    """9 starts along one axis -> which third each is in, told by their rank alone."""
    ranked = sorted(range(9), key=lambda k: starts[k])
    cells = [0] * 9
    for rank, k in enumerate(ranked):
        cells[k] = rank // 3
    return cells


@settings(max_examples=40)
@given(frame=frames, seed=seeds)
def test_puzzle_shows_its_patches_in_the_order_of_the_answer(frame, seed):
    questions = Puzzle(1).draw(12, frame, torch.zeros(frame.view_count, dtype=torch.long), seeded(seed))
    views = views_that_tell_places(frame)
    corners = torch.stack([read(views, places, frame.patch)[:, :, 0, 0] for places in questions.patches], dim=1)
    orders = distant_orders(9, 64)
    room = min(frame.height, frame.width) - frame.patch
    for number, (answer, question) in enumerate(zip(questions.answers.tolist(), corners, strict=True)):
        assert {view % (frame.view_count // 2) for view in question[:, 0].tolist()} == {
            number % (frame.view_count // 2)
        }
        if room // 2 >= frame.placement:  # the cells are not all the same
            rows, columns = cells_by_rank(question[:, 1].tolist()), cells_by_rank(question[:, 2].tolist())
            assert tuple(3 * row + column for row, column in zip(rows, columns, strict=True)) == orders[answer]


@settings(max_examples=40)
@given(frame=frames, seed=seeds)
def test_puzzle_patches_overlap_only_where_three_do_not_fit(frame, seed):
    questions = Puzzle(1).draw(20, frame, torch.zeros(frame.view_count, dtype=torch.long), seeded(seed))
    axes = (
        ([one.tops for one in questions.patches], frame.height),
        ([one.lefts for one in questions.patches], frame.width),
    )
    for starts, length in axes:
        apart = torch.stack(starts, dim=1).sort(dim=1).values.reshape(20, 3, 3)
        gaps = apart[:, 1:, 0] - apart[:, :-1, 2] - frame.patch
        if length >= 3 * frame.patch:
            assert (gaps >= 0).all()
        if length >= 15 * frame.patch // 4:  # whole cells of 5/4 patch
            assert (apart[:, :, 2] - apart[:, :, 0] <= frame.patch // 4).all()
            assert (apart[:, 2, 2] - apart[:, 0, 0] <= 11 * frame.patch // 4).all()


@pytest.mark.parametrize("placement", [1, 4])
def test_puzzle_patches_use_the_whole_of_their_cells(placement, generator):
    frame = Frame(8, 256, 256, 32, placement)
    questions = Puzzle(1).draw(3000, frame, torch.zeros(8, dtype=torch.long), generator)
    for starts in ([one.tops for one in questions.patches], [one.lefts for one in questions.patches]):
        apart = torch.stack(starts, dim=1).sort(dim=1).values.reshape(3000, 3, 3)
        spread = apart[:, :, 2] - apart[:, :, 0]  # of the three patches of a row of cells
        assert set(spread.flatten().tolist()) == set(range(0, 9, placement))
        assert apart.min() == 0 and apart.max() == 256 - 32


def test_puzzle_reads_first_and_second_views_alike_often_and_all_orders(generator):
    questions = Puzzle(1).draw(6400, Frame(8, 256, 256, 32, 4), torch.zeros(8, dtype=torch.long), generator)
    for places in questions.patches:
        assert abs((places.views >= 4).sum().item() - 3200) < 4.7 * 40  # sigma = 40
    counts = torch.bincount(questions.answers, minlength=64)
    assert len(counts) == 64
    assert ((counts > 53) & (counts < 147)).all()  # 100 +- 4.7 sigma


def test_puzzle_joins_the_codes_in_the_order_shown():
    pretext = Puzzle(1)
    codes = [torch.randn(5, 64) for _ in range(9)]
    joined = torch.empty(5, 576)
    for k in range(9):
        joined[:, 64 * k : 64 * k + 64] = codes[k]
    assert torch.equal(pretext(tuple(codes)), pretext.classifier(joined))
    assert pretext(tuple(codes)).shape == (5, 64)


# Rotation


def test_rotation_turns_both_views_of_a_picture_as_numpy_does(generator):
    views = pictures_and_their_second_views(20, 2, 9, 9)
    changed, turns = Rotation.change_views(views, generator)
    assert torch.equal(turns[:20], turns[20:])
    assert set(turns.tolist()) == {0, 1, 2, 3}
    for view, turned, turn in zip(views.numpy(), changed.numpy(), turns.tolist(), strict=True):
        np.testing.assert_array_equal(turned, np.rot90(view, turn, axes=(1, 2)))


@pytest.mark.parametrize(("height", "width"), [(9, 12), (12, 9)])
def test_rotation_cuts_both_views_of_a_picture_to_the_same_square(height, width, generator):
    views = pictures_and_their_second_views(40, 2, height, width)
    changed, turns = Rotation.change_views(views, generator)
    assert changed.shape == (80, 2, 9, 9)
    found = []
    for view, turned, turn in zip(views.numpy(), changed.numpy(), turns.tolist(), strict=True):
        upright = np.rot90(turned, -turn, axes=(1, 2))
        corners = [(top, left) for top in range(height - 8) for left in range(width - 8)]
        found.append([c for c in corners if np.array_equal(view[:, c[0] : c[0] + 9, c[1] : c[1] + 9], upright)])
    assert all(len(one) == 1 for one in found)
    assert found[:40] == found[40:]
    assert len({one[0] for one in found}) == 4  # each of the four squares that fit comes up


@settings(max_examples=20)
@given(frame=frames, seed=seeds)
def test_a_single_patch_is_asked_for_what_was_done_to_its_view(frame, seed):
    changes = torch.arange(frame.view_count) * 7
    for pretext in (Rotation(3), Colour(3), RotationColour(3)):
        questions = pretext.draw(3 * frame.view_count, frame, changes, seeded(seed))
        (places,) = questions.patches
        assert places.views.tolist() == 3 * list(range(frame.view_count))
        assert questions.answers.tolist() == [7 * view for view in places.views.tolist()]


def test_single_patches_lie_all_over_the_view(generator):
    (places,) = Rotation(3).draw(4000, Frame(4, 64, 96, 32, 4), torch.zeros(4, dtype=torch.long), generator).patches
    assert set(places.tops.tolist()) == set(range(0, 33, 4))
    assert set(places.lefts.tolist()) == set(range(0, 65, 4))


# Colour


@pytest.mark.parametrize(("channels", "orders"), [(1, 1), (2, 2), (3, 6), (4, 4), (7, 7)])
def test_channel_orders_are_different_orders_that_begin_with_no_change(channels, orders):
    table = channel_orders(channels)
    assert len(set(table)) == len(table) == orders
    assert table[0] == tuple(range(channels))
    assert all(sorted(order) == list(range(channels)) for order in table)
    assert Colour(channels)((torch.zeros(2, 64),)).shape == (2, orders)
    assert RotationColour(channels)((torch.zeros(2, 64),)).shape == (2, 4 * orders)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_colour_reorders_the_channels_of_both_views_of_a_picture(channels, generator):
    views = pictures_and_their_second_views(60, channels, 4, 7)
    changed, changes = Colour.change_views(views, generator)
    assert torch.equal(changes[:60], changes[60:])
    assert set(changes.tolist()) == set(range(len(channel_orders(channels))))
    for view, mixed, change in zip(views, changed, changes.tolist(), strict=True):
        for channel, source in enumerate(channel_orders(channels)[change]):
            assert torch.equal(mixed[channel], view[source])


# Both


def test_rotation_colour_tells_each_pair_of_turn_and_order_apart(generator):
    views = pictures_and_their_second_views(200, 3, 6, 6)
    changed, changes = RotationColour.change_views(views, generator)
    assert torch.equal(changes[:200], changes[200:])
    assert set(changes.tolist()) == set(range(24))
    joint = list(product(range(4), channel_orders(3)))
    for view, mixed, change in zip(views.numpy(), changed.numpy(), changes.tolist(), strict=True):
        turn, order = joint[change]
        np.testing.assert_array_equal(mixed, np.rot90(view, turn, axes=(1, 2))[list(order)])


@pytest.mark.parametrize(("name", "classes"), [("rotation", 4), ("colour", 6), ("rotation_colour", 24)])
def test_changes_are_drawn_alike_often(name, classes, generator):
    _, changes = PRETEXTS[name].change_views(torch.zeros(2 * 400 * classes, 3, 1, 1), generator)
    counts = torch.bincount(changes[: 400 * classes], minlength=classes)
    assert len(counts) == classes
    assert ((counts > 306) & (counts < 494)).all()  # 400 +- 4.7 sigma
