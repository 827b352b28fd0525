"""The package against tests/reference.py, the paper written as plain loops, to 1e-5 in float32."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import reference
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from sclvi.context.losses import context_loss, patch_svdd_loss, total_loss
from sclvi.context.pretexts.twelve import TwelvePositions
from sclvi.encoders.compute import encode
from sclvi.encoders.dense import DenseEncoder
from sclvi.encoders.interface import PATCH_SIZES, Encoder, patch_grid
from sclvi.encoders.paper import PaperEncoder
from sclvi.encoders.places import Frame, Places
from sclvi.memory.bank import MemoryBank
from sclvi.memory.scale import ScaleMemory, fill_memories
from sclvi.progress import silent
from sclvi.scoring.affinity import affinity, fuse_patterns, patch_scores
from sclvi.scoring.inspector import Inspector
from sclvi.scoring.maps import fuse_scales, image_scores
from sclvi.scoring.pixels import pixel_map
from sclvi.settings import Settings, preset

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
seeds = st.integers(0, 2**31)


# Section 3.1: the twelve positions


def test_the_36_pairs_of_cells_fall_into_the_twelve_classes():
    groups = reference.absolute_pairs()
    assert set(groups) == set(reference.RELATIVE_POSITIONS)
    assert len(groups) == 12
    assert sum(len(pairs) for pairs in groups.values()) == 36
    # "1 and 3, 2 and 4, 4 and 6, and 5 and 7 ... the diagonal left connection"
    assert groups[1, -1] == [(1, 3), (2, 4), (4, 6), (5, 7)]


def test_the_region_of_a_class_by_hand():
    one_left_below = reference.RELATIVE_POSITIONS.index((1, -1))
    assert reference.in_region(one_left_below, (0, 100), (48, 37), 64)  # 48 = 48 + 0 down, -63 = -(48 + 15)
    assert not reference.in_region(one_left_below, (0, 100), (47, 37), 64)
    assert not reference.in_region(one_left_below, (0, 100), (48, 36), 64)
    assert not reference.in_region(one_left_below, (0, 37), (48, 100), 64)  # the mirrored side
    two_right = reference.RELATIVE_POSITIONS.index((0, 2))
    assert reference.in_region(two_right, (5, 0), (5, 54), 32)  # 2 (24 + 3)
    assert not reference.in_region(two_right, (5, 0), (5, 55), 32)
    assert not reference.in_region(two_right, (5, 0), (6, 54), 32)


def draw(count, height, width, patch, placement, seed):
    """Pairs as the package draws them: [(class, first (top, left), second (top, left))]."""
    generator = torch.Generator().manual_seed(seed)
    frame = Frame(view_count=4, height=height, width=width, patch=patch, placement=placement)
    changes = torch.zeros(4, dtype=torch.long)
    questions = TwelvePositions(3).draw(count, frame, changes, generator)
    first, second = (list(zip(at.tops.tolist(), at.lefts.tolist(), strict=True)) for at in questions.patches)
    return list(zip(questions.answers.tolist(), first, second, strict=True))


@settings(max_examples=80)
@given(patch=st.sampled_from([32, 64]), placement=st.sampled_from([1, 4]), seed=seeds, data=st.data())
def test_each_drawn_pair_lies_in_the_region_of_its_class_and_of_no_other(patch, placement, seed, data):
    height, width = (data.draw(st.integers(3 * patch, 300), side) for side in ("height", "width"))
    for answer, first, second in draw(40, height, width, patch, placement, seed):
        assert [y for y in range(12) if reference.in_region(y, first, second, patch)] == [answer]
        for top, left in (first, second):
            assert 0 <= top <= height - patch
            assert 0 <= left <= width - patch
            assert top % placement == left % placement == 0


@pytest.mark.parametrize("patch", [32, 64])
@pytest.mark.parametrize("placement", [1, 4])
def test_every_class_is_drawn_with_every_dither_on_either_axis(patch, placement):
    drawn = [set() for _ in range(12)]
    for answer, first, second in draw(20_000, 300, 300, patch, placement, seed=0):
        for axis in (0, 1):
            if steps := reference.RELATIVE_POSITIONS[answer][axis]:
                drawn[answer].add((axis, (second[axis] - first[axis]) // steps - 3 * patch // 4))
    for y, position in enumerate(reference.RELATIVE_POSITIONS):
        axes = [axis for axis in (0, 1) if position[axis]]
        assert drawn[y] == {(axis, r) for axis in axes for r in range(0, patch // 4, placement)}


# Eq. 1 to 3: the losses


@given(pairs=st.integers(1, 20), spread=st.floats(0.1, 20), seed=seeds)
def test_context_loss_is_eq_1(pairs, spread, seed):
    rng = np.random.default_rng(seed)
    logits, classes = rng.normal(0, spread, (pairs, 12)).astype(np.float32), rng.integers(0, 12, pairs)
    actual = context_loss(torch.from_numpy(logits), torch.from_numpy(classes))
    assert actual.item() == pytest.approx(reference.context_loss(logits.tolist(), classes.tolist()), rel=1e-5, abs=1e-5)


@given(pairs=st.integers(1, 20), seed=seeds)
def test_patch_svdd_loss_is_eq_2(pairs, seed):
    codes, moved = np.random.default_rng(seed).uniform(-1, 1, (2, pairs, 64)).astype(np.float32)
    actual = patch_svdd_loss(torch.from_numpy(codes), torch.from_numpy(moved))
    assert actual.item() == pytest.approx(reference.patch_svdd_loss(codes, moved), rel=1e-5)


def test_total_loss_is_eq_3():
    actual = total_loss(torch.tensor(1.5), torch.tensor(700.0)).item()
    assert actual == pytest.approx(reference.total_loss(1.5, 700.0), rel=1e-5)
    assert actual == pytest.approx(1.57)  # alpha 0.0001
    assert total_loss(torch.tensor(1.5), torch.tensor(700.0), alpha=0.01).item() == pytest.approx(8.5)


# Eq. 4 to 6: affinity, fusion, score

distances = st.lists(st.just(0.0) | st.floats(2**-20, 16, width=32), min_size=1, max_size=12)


@given(distances, st.sampled_from([15.0, 20.0, 30.0]))
def test_affinity_is_eq_4(distances, limit):
    actual = affinity(torch.tensor(distances), limit)
    torch.testing.assert_close(actual, torch.tensor(reference.affinity(distances, limit)), **TOLERANCE)


@given(count=st.integers(1, 12), spread=st.sampled_from([1e-3, 0.1, 1.0]), seed=seeds)
def test_score_is_eq_4_to_6(count, spread, seed):
    rng = np.random.default_rng(seed)
    code = rng.uniform(-1, 1, 64).astype(np.float32)
    memory = (code + spread * rng.normal(size=(count, 64)) * rng.uniform(0.1, 2, (count, 1))).astype(np.float32)
    found, items = reference.nearest(code, memory, count)
    weights = reference.affinity(found)

    actual_weights = affinity(torch.tensor(found))
    fused = fuse_patterns(actual_weights, torch.from_numpy(np.stack(items)))
    torch.testing.assert_close(fused, torch.tensor(reference.fuse(weights, items)), **TOLERANCE)
    actual = patch_scores(torch.from_numpy(code), fused).item()
    assert actual == pytest.approx(reference.score(code, memory, count), rel=1e-5, abs=1e-5)


# Eq. 7: from patches to pixels


@settings(max_examples=60)
@given(
    size=st.tuples(st.integers(8, 48), st.integers(8, 48)),
    patch=st.integers(2, 24),
    stride=st.integers(1, 24),
    seed=seeds,
)
def test_pixel_map_is_eq_7(size, patch, stride, seed):
    assume(stride <= patch <= min(size))
    rows, columns = ((length - patch) // stride + 1 for length in size)
    scores = np.random.default_rng(seed).uniform(0, 3, (rows, columns)).astype(np.float32)
    expected = reference.pixel_map(scores.ravel(), size, patch, stride)
    actual = pixel_map(torch.from_numpy(scores)[None], patch, stride, size)[0]
    assert actual.shape == size
    covered = ~np.isnan(expected)
    np.testing.assert_allclose(actual.numpy()[covered], expected[covered], **TOLERANCE)
    assert covered.sum() == math.prod((n - 1) * stride + patch for n in (rows, columns))
    assert actual.max().item() == pytest.approx(reference.image_score(expected), rel=1e-5)


# The whole chain: pictures -> codes -> memory -> nearest -> fused -> scores -> maps -> product -> image score


@dataclass(frozen=True)
class Chain:
    """One case for the package and for the reference."""

    encoder: Encoder
    settings: Settings
    good: Tensor  # 2 x 3 x H x W float32
    test: Tensor  # 1 x 3 x H x W
    scales: tuple[reference.Scale, ...]
    items: tuple[np.ndarray, ...]  # per scale, the reference's memory items, N x 64 float32


def one_patch_encoder(encoder, scale):
    """Shows the encoder one patch at a time, on an otherwise empty picture of the smallest size that encoders take.

    The code is read as training reads it: what is trained is then also what inspects.
    """
    corner = Places(*torch.zeros(3, 1, dtype=torch.long))

    def encode_one(patch):
        alone = torch.zeros(1, 3, 64, 64)
        alone[0, :, : patch.shape[1], : patch.shape[2]] = torch.from_numpy(patch)
        with torch.inference_mode():
            return encoder.read(alone)[scale](corner)[0].numpy()

    return encode_one


@pytest.fixture(
    params=[(DenseEncoder, (80, 96), (8, 16)), (PaperEncoder, (72, 72), (20, 4))],
    ids=["dense", "paper"],
    scope="module",
)
def chain(request):
    """Two good pictures, and one that is the first of them with noise and a blotch; random weights; paper preset.

    As in the paper (256 px, strides 4 and 16), every pixel belongs to a patch of either size. Strides are chosen for
    speed: the paper encoder takes patches one by one.
    """
    kind, size, strides = request.param
    with torch.random.fork_rng():
        torch.manual_seed(3)
        encoder = kind(3).eval()
        good = torch.randn(2, 3, *size)
        test = good[:1] + 0.05 * torch.randn(1, 3, *size)
    test[:, :, 30:50, 40:70] = 2.0
    scales = tuple(
        reference.Scale(patch, stride, one_patch_encoder(encoder, number))
        for number, (patch, stride) in enumerate(zip(PATCH_SIZES, strides, strict=True))
    )
    items = tuple(np.stack(reference.memory_items(list(good.numpy()), scale)) for scale in scales)
    return Chain(encoder, preset("paper", memory_strides=strides), good, test, scales, items)


@pytest.fixture(autouse=True)
def in_float32(monkeypatch):
    """The package encodes in bf16 where the hardware has it; this file compares float32."""
    monkeypatch.setattr("sclvi.encoders.compute.has_bf16", lambda device: False)


def test_codes_of_whole_pictures_are_those_of_single_patches(chain):
    encoded = encode(chain.encoder, chain.good, chain.settings.memory_strides)
    for codes, items in zip(encoded, chain.items, strict=True):
        rows = codes.permute(0, 2, 3, 1).reshape(-1, 64)  # B x 64 x h x w -> B h w x 64
        np.testing.assert_allclose(rows.numpy(), items, **TOLERANCE)


def test_memories_hold_the_reference_items_in_its_order_in_half_precision(chain):
    memories = fill_memories(chain.encoder, chain.good, chain.settings, silent)
    for memory, scale, items in zip(memories, chain.scales, chain.items, strict=True):
        assert (memory.patch, memory.stride, len(memory.bank)) == (scale.patch, scale.stride, len(items))
        found = memory.bank.search(torch.from_numpy(items), 1)
        assert found.origins[:, 0].tolist() == list(range(len(items)))
        # 11 bits, rounded; a code on the edge between two half-precision values may go to either
        np.testing.assert_allclose(found.codes[:, 0].numpy(), items, rtol=2**-11, atol=1e-5)


def test_the_whole_chain_from_picture_to_image_score_is_that_of_the_paper(chain):
    """Both memories hold the same codes: the reference's, in half precision as the package keeps them.

    Codes that agree to 1e-5 can fall on two sides of a rounding edge, 2^-11 apart, so that a memory that the package
    fills itself would differ by more than this test allows; the two tests above close the gap.
    """
    memories, product_memories = [], []
    for scale, items in zip(chain.scales, chain.items, strict=True):
        memories.append((scale, items.astype(np.float16).tolist()))
        bank = MemoryBank.build(torch.from_numpy(items), torch.arange(len(items)), seed=0, search="exact")
        grid = patch_grid(tuple(chain.good.shape[2:]), scale.patch, scale.stride)
        product_memories.append(ScaleMemory(scale.patch, scale.stride, None, bank, grid))
    expected = reference.anomaly_map(chain.test[0].numpy(), memories)

    maps, _ = Inspector(chain.encoder, tuple(product_memories), None, chain.settings).score(chain.test)
    product = fuse_scales(maps) ** 2  # it gives the geometric mean of two maps
    np.testing.assert_allclose(product[0].numpy(), expected, **TOLERANCE)
    assert image_scores(product).item() == pytest.approx(reference.image_score(expected), rel=1e-5)
