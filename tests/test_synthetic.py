"""Synthetic defects, the network that learns to see them, and what it adds to a model."""

import math
from contextlib import nullcontext
from dataclasses import replace
from itertools import accumulate

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch import nn

import sclvi
from sclvi.data.box import Box
from sclvi.data.halving import halved, halved_side
from sclvi.data.light import normalise_light
from sclvi.decision.familiar import familiarity
from sclvi.encoders.compute import repeatable
from sclvi.memory.exemplars import Exemplars, Taught
from sclvi.model_file import load, save
from sclvi.progress import silent
from sclvi.synthetic import learning
from sclvi.synthetic.defects import with_defects
from sclvi.synthetic.detector import Detector, TaughtLooks, excuse
from sclvi.synthetic.learning import _Crops, _Learner, caution_after, focal_loss, learn_defects, steps_for
from sclvi.synthetic.network import (
    SegmentationNetwork,
    _Block,
    _Up,
    convolved_doubled,
    kernels_for_doubled,
)
from sclvi.synthetic.symmetry import with_views
from tests.parts import SIDE, defective_part, good_part

STAIN, SCAR = Box(80, 24, 24, 24), Box(24, 84, 20, 20)


def prepared(parts):
    """B x C x H x W float, as the network sees them."""
    stacked = torch.from_numpy(np.stack(parts)).permute(0, 3, 1, 2).float() / 255
    return normalise_light(stacked)


def stained(number):
    part = good_part(number)
    part[STAIN.y : STAIN.y + STAIN.height, STAIN.x : STAIN.x + STAIN.width] = 20
    return part


def scarred(part):
    part = part.copy()
    part[SCAR.y : SCAR.y + SCAR.height, SCAR.x : SCAR.x + SCAR.width] = 15
    return part


@pytest.fixture(scope="module")
def model():
    chosen = sclvi.Settings(steps=1, batch=2, pairs=32, short_side=SIDE, synthetic_steps=600, align=False)
    return sclvi.train([good_part(number) for number in range(30)], chosen)  # each is shown 40 times


def test_crops_are_the_same_whether_they_are_drawn_ahead_or_not():
    images = prepared([good_part(number) for number in range(4)])
    ahead, between = (
        list(learning._drawn(learning._Artist(images, 0), 3, torch.device(kind))) for kind in ("cuda", "cpu")
    )
    assert len(ahead) == 3
    for one, other in zip(ahead, between, strict=True):
        assert torch.equal(one.pixels, other.pixels) and torch.equal(one.defective, other.defective)


@pytest.mark.parametrize(("showings", "deviations"), [(4, 0.1), (40, 0.1), (90, 0.15), (160, 0.2)])
def test_a_tenth_of_a_deviation_or_two_make_up_for_having_been_learned_from(showings, deviations):
    scores = np.random.default_rng(0).lognormal([1, 0], [0.2, 0.5], (40, 2))
    factors = familiarity(torch.from_numpy(scores), showings)
    np.testing.assert_allclose(factors.log().numpy(), deviations * np.log(scores).std(0))
    assert familiarity(torch.tensor([[3.0]]), showings).tolist() == [1.0]
    unseen = np.concatenate([scores, [[0, 0]]])  # a region that was cut away says nothing
    np.testing.assert_allclose(familiarity(torch.from_numpy(unseen), showings), factors)


@pytest.mark.parametrize(("set_aside", "steps", "raised"), [(0.0, 2, True), (0.3, 2, False), (0.0, 0, False)])
def test_only_pictures_that_the_network_learned_from_score_higher(monkeypatch, set_aside, steps, raised):
    chosen = sclvi.Settings(steps=0, short_side=SIDE, synthetic_steps=steps, set_aside=set_aside, align=False)
    parts = [good_part(number) for number in range(6)]
    found = sclvi.train(parts, chosen).calibration
    monkeypatch.setattr("sclvi.self_calibration.familiarity", lambda scores, showings: 1.0)
    seen = sclvi.train(parts, chosen).calibration
    factors = np.divide(found.scores, seen.scores)
    expected = math.exp(0.1 * np.log(seen.scores).std()) if raised else 1.0
    np.testing.assert_allclose(factors, expected, rtol=1e-5)
    assert found.threshold.value == pytest.approx(seen.threshold.value * expected)


@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(20, 90),
    width=st.integers(20, 90),
    channels=st.sampled_from([1, 3, 4, 16]),
)
def test_defects_are_where_they_are_said_to_be(seed, height, width, channels):
    rng = np.random.default_rng(seed)
    picture, other = rng.standard_normal((2, height, width, channels)).astype(np.float32)
    before = picture.copy()
    changed, mask = with_defects(picture, other, rng)
    assert (picture == before).all()
    assert changed.shape == picture.shape and changed.dtype == np.float32 and np.isfinite(changed).all()
    assert mask.shape == (height, width) and mask.dtype == bool
    different = (changed != picture).any(-1)
    assert different[mask].mean() > 0.9 if mask.any() else True  # a later defect may paint an earlier one over
    assert not different.all()


def test_defects_are_drawn_from_the_seed_alone():
    picture, other = np.random.default_rng(0).standard_normal((2, 60, 50, 3)).astype(np.float32)
    one, two, three = (with_defects(picture, other, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])
    assert (one[0] != three[0]).any()


def test_most_pictures_get_a_defect_that_leaves_most_of_them_good():
    rng = np.random.default_rng(0)
    picture = np.zeros((160, 160, 1), np.float32)
    other = rng.standard_normal((160, 160, 1)).astype(np.float32)
    shares = [with_defects(picture, other, rng)[1].mean() for _ in range(200)]
    assert np.mean(np.array(shares) > 0) > 0.8
    assert 0.005 < np.mean(shares) < 0.2


def test_the_focal_loss_is_that_of_the_paper_with_defective_pixels_thrice_as_heavy():
    logits, wanted = [-3.0, -0.5, 0.0, 1.5, 4.0], [0.0, 1.0, 1.0, 0.0, 1.0]
    expected = 0.0
    for logit, truth in zip(logits, wanted, strict=True):
        probability = 1 / (1 + math.exp(-logit))
        right = probability if truth else 1 - probability
        expected += -((1 - right) ** 2) * math.log(right) * (3 if truth else 1) / len(logits)
    found = focal_loss(torch.tensor(logits), torch.tensor(wanted)).item()
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("images", "side", "most", "steps"),
    [
        (1000, 320, 4000, 4000),
        (30, 320, 4000, 3000),  # crops of a quarter: 200 x 4 x 30 / 8
        (30, 640, 20000, 12000),
        (30, 256, 4000, 3000),  # of a quarter, too: no larger than the halved image
        (10, 320, 4000, 1000),
        (9, 320, 4000, 0),
        (10, 128, 4000, 1000),
        (10, 319, 4000, 1000),  # an odd side is halved to 160 px, no reason to do without
        (5, 320, 4000, 0),
        (5, 320, 10, 10),
        (1000, 320, 0, 0),
    ],
)
def test_steps_show_no_pixel_more_often_than_it_may_be(images, side, most, steps):
    assert steps_for(images, images * side**2, (side, side), most) == steps


def test_few_images_do_not_do_however_large_they_are():
    assert [steps_for(count, count * 320 * 960, (320, 960), 4000) for count in (9, 10)] == [0, 3000]


@pytest.mark.parametrize(
    ("steps", "images", "caution"),
    [
        (4000, 1000, 1.0),
        (4000, 200, 1.0),  # just as many as show each pixel 40 times
        (4000, 100, 2.0),  # 2,000 do
        (2000, 20, 4.0),  # 400 do: no less is told from fewer than from the thousand steps that are needed
        (1000, 1000, 4.0),
        (500, 20, 8.0),
    ],
)
def test_few_images_or_steps_make_wary_of_what_surprises_the_network(steps, images, caution):
    assert caution_after(steps, images * 320**2, (320, 320)) == caution


@pytest.mark.parametrize("size", [(320, 400), (130, 90)])
@pytest.mark.parametrize("channels", [1, 5])
def test_one_crop_in_four_is_of_full_size_and_the_others_of_half(monkeypatch, size, channels):
    monkeypatch.setattr("sclvi.synthetic.learning._DEFECTIVE", 0)
    rising = torch.arange(size[1], dtype=torch.float32).expand(3, channels, *size)  # by 1 a px
    artist = learning._Artist(rising, seed=0)
    drawn = [artist[step] for step in range(20)]
    assert {crops.pixels.shape[2:] for crops in drawn} == {tuple(min(160, side // 2) for side in size)}
    across = torch.cat([crops.pixels for crops in drawn]).mean((1, 2))
    px_each = (across[:, -2] - across[:, 1]) / (across.shape[1] - 3)
    full = torch.arange(len(px_each)) % 4 == 0
    assert 0.7 < px_each[full].min() < 0.85 and 0.97 < px_each[full].max() < 1.2  # in any light
    assert 1.4 < px_each[~full].min() < 1.7 and 1.95 < px_each[~full].max() < 2.4
    assert not any(crops.defective.any() for crops in drawn)


def test_network_is_normalised_and_answers_in_single_precision_where_convolutions_do_not():
    block, network = _Block(3, 4).train(), SegmentationNetwork(3).train()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        convolved, found, logits = block.convolution(images), block(images), network(images)
    assert convolved.dtype == torch.bfloat16 and found.dtype == logits.dtype == torch.float32
    exact = convolved.double()
    mean, variance = exact.mean((0, 2, 3), keepdim=True), exact.var((0, 2, 3), keepdim=True, correction=0)
    expected = ((exact - mean) / (variance + block.norm.eps).sqrt()).clamp_min(0)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(64, 96), (65, 97)])
def test_halved_images_are_means_of_areas(size):
    images = torch.randn(2, 3, *size)
    found = halved(images)
    assert found.shape == (2, 3, math.ceil(size[0] / 2), math.ceil(size[1] / 2))
    assert found.shape[2:] == (halved_side(size[0]), halved_side(size[1]))
    if size[0] % 2 == 0:
        expected = images.unfold(2, 2, 2).unfold(3, 2, 2).mean((-2, -1))
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(halved(torch.ones(1, 1, *size)), torch.ones(1, 1, *found.shape[2:]))


def test_a_map_is_the_mean_of_what_is_seen_at_both_sizes(monkeypatch):
    monkeypatch.setattr("sclvi.synthetic.detector.smooth", lambda maps, sigma: maps)
    torch.manual_seed(0)
    network = SegmentationNetwork(3).folded()
    images = torch.randn(2, 3, 96, 64)
    large, small = (network(one).sigmoid() for one in (images, images.unfold(2, 2, 2).unfold(3, 2, 2).mean((-2, -1))))
    expected = sum(np.asarray(resized(one[:, 0].detach(), (96, 64))) for one in (large, small)) / 2
    np.testing.assert_allclose(Detector(network).pixels(images).numpy(), expected, atol=0.02)  # bf16, where there is


def test_mirrored_views_are_further_opinions(monkeypatch):
    monkeypatch.setattr("sclvi.synthetic.detector.smooth", lambda maps, sigma: maps)
    monkeypatch.setattr("sclvi.synthetic.detector.reduced_precision", lambda device: nullcontext())
    torch.manual_seed(0)
    network = SegmentationNetwork(3).folded()
    images = torch.randn(2, 3, 96, 64)

    def seen(images, *axes):
        """What the network says of the mirrored pictures, mirrored back, B x 96 x 64; of halved ones doubled twice."""
        said = F.interpolate(network(images.flip(axes)).sigmoid().flip(axes), size=(48, 32), mode="bilinear")
        return F.interpolate(said, size=(96, 64), mode="bilinear")[:, 0].detach()

    small = images.unfold(2, 2, 2).unfold(3, 2, 2).mean((-2, -1))
    for views, expected in [
        ([()], seen(images) + seen(small)),
        ([(), (3,)], (seen(images) + seen(images, 3) + seen(small) + seen(small, 3)) / 2),
        (
            [(), (3,), (2,), (2, 3)],
            (seen(images) + seen(images, 2, 3)) / 2
            + (seen(small) + seen(small, 3) + seen(small, 2) + seen(small, 2, 3)) / 4,
        ),
    ]:
        found = Detector(network, views=tuple(views)).pixels(images)
        torch.testing.assert_close(found, expected / 2, atol=1e-5, rtol=0)


class SpotNetwork(nn.Module):
    """Is certain of one pixel of its own, and of the pictures' other pixels that they are good."""

    def __init__(self):
        super().__init__()
        self.any = nn.Parameter(torch.zeros(1))

    def forward(self, images):
        logits = torch.full((len(images), 1, images.shape[2] // 2, images.shape[3] // 2), -40.0)
        logits[:, :, images.shape[2] // 4, images.shape[3] // 4] = 40
        return logits


def test_a_spot_of_certainty_is_blurred_by_eight_px():
    found = Detector(SpotNetwork()).pixels(torch.zeros(1, 3, 192, 160))[0].double()
    assert found.shape == (192, 160)
    for axis in (0, 1):
        profile = found.sum(1 - axis) / found.sum()
        places = torch.arange(len(profile)).double()
        middle = (profile * places).sum()
        # one pixel is two or four px of the picture, a box that adds a little; the blur ends at three deviations
        assert (profile * (places - middle).square()).sum().sqrt().item() == pytest.approx(8, abs=0.3)
        assert middle.item() == pytest.approx(len(profile) / 2, abs=2)


class UnlikeNetwork(nn.Module):
    """Calls a defect what differs from what it knows."""

    def __init__(self, known):
        super().__init__()
        self.known = nn.Parameter(known)

    def forward(self, images):
        known = F.interpolate(self.known[None], size=images.shape[2:], mode="area")
        return F.avg_pool2d((images - known).abs().mean(1, keepdim=True), 2) - 3


@pytest.mark.parametrize(
    ("marks", "views"),
    [
        ([], ((), (3,), (2,), (2, 3))),
        ([(8, 8)], ((),)),
        ([(8, 8), (8, 48)], ((), (3,))),
        ([(8, 8), (48, 8)], ((), (2,))),
        ([(8, 8), (48, 48)], ((), (2, 3))),
    ],
)
def test_a_view_counts_where_good_pictures_look_good_in_it(marks, views):
    known = torch.zeros(1, 64, 64)
    for top, left in marks:
        known[:, top : top + 8, left : left + 8] = 6
    images = known + 0.1 * torch.randn(12, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    assert with_views(Detector(UnlikeNetwork(known)), images, silent).views == views


def test_a_view_is_good_where_it_is_in_the_mean_of_forty_pictures(monkeypatch):
    images = torch.arange(60.0)[:, None, None, None].expand(60, 1, 8, 8)
    own = torch.linspace(-1, 1, 60)  # deviations of the forty looked at: half of them lie within 0.5, so 0.37 may be
    looked_at = []

    def peaks(detector, image):
        number = int(image[0, 0, 0, 0])
        looked_at.append(number)
        once = 10.0 if number == 0 else 0.0  # one picture of forty, a quarter in their mean
        return own[number] + torch.tensor([0.0, once, 0.45, 0.3])

    monkeypatch.setattr("sclvi.synthetic.symmetry._peaks", peaks)
    found = with_views(Detector(SegmentationNetwork(1)), images, silent)
    assert found.views == ((), (3,), (2, 3))
    assert len(looked_at) == 40 and looked_at[0] == 0 and looked_at[-1] == 59


def resized(maps, size):
    """By OpenCV, B x h x w -> B x H x W."""
    return [cv2.resize(one.numpy(), size[::-1], interpolation=cv2.INTER_LINEAR) for one in maps]


@pytest.mark.parametrize("size", [(128, 128), (70, 93), (33, 200)])
def test_folding_changes_nothing_and_every_size_fits(size):
    torch.manual_seed(0)
    network = SegmentationNetwork(2)
    images = torch.randn(2, 2, *size)
    network(images)  # statistics other than those of a new network
    expected = network.eval()(images)
    assert expected.shape == (2, 1, math.ceil(size[0] / 2), math.ceil(size[1] / 2))
    torch.testing.assert_close(network.folded()(images), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (6, 4)])
def test_doubled_pixels_are_convolved_as_if_they_had_been_doubled(size):
    torch.manual_seed(0)
    images, kernels = torch.randn(2, 3, *size), torch.randn(4, 3, 3, 3)
    doubled = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = F.conv2d(doubled, kernels, padding=1)
    whole = (2 * size[0], 2 * size[1])
    found = convolved_doubled(images, kernels_for_doubled(kernels), whole)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    less = convolved_doubled(images, kernels_for_doubled(kernels), (whole[0] - 1, whole[1] - 1))
    assert torch.equal(less, found[:, :, :-1, :-1])


def test_both_levels_are_added_up_in_single_precision():
    torch.manual_seed(0)
    up = _Up(4, 6).train()
    coarse, fine = torch.randn(2, 4, 8, 8), torch.randn(2, 6, 16, 16)
    kernels = up.convolution.weight
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        found = up(coarse, fine)
        below = convolved_doubled(coarse, kernels_for_doubled(kernels[:, :4]), (16, 16))
        here = F.conv2d(fine, kernels[:, 4:], up.convolution.bias, padding=1)
    assert below.dtype == here.dtype == torch.bfloat16
    exact = here.double() + below.double()
    mean, variance = exact.mean((0, 2, 3), keepdim=True), exact.var((0, 2, 3), keepdim=True, correction=0)
    expected = ((exact - mean) / (variance + up.norm.eps).sqrt()).clamp_min(0)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_what_is_pasted_comes_from_another_crop_of_the_same_scale(monkeypatch):
    pairs = []

    def paste(crop, other, rng):
        pairs.append((crop, other))
        return crop, np.zeros(crop.shape[:2], bool)

    monkeypatch.setattr("sclvi.synthetic.learning.with_defects", paste)
    rising = torch.arange(400.0).expand(3, 1, 320, 400)  # by 1 a px
    artist = learning._Artist(rising, seed=0)
    for step in range(10):
        artist[step]
    assert len(pairs) > 40
    for crop, other in pairs:
        assert crop is not other
        steps = [float(one[0, 1, 0] - one[0, 0, 0]) for one in (crop, other)]
        assert (steps[0] > 1.3) == (steps[1] > 1.3)


def test_crops_are_learned_in_another_light_each():
    learner = learning._Learner(1, seed=0)
    pixels = torch.randn(400, 1, 16, 16)
    seen = []
    learner.learn = lambda lit, wanted: seen.append(lit) or torch.zeros(())
    learner.step(learning._Crops(pixels, torch.zeros(400, 1, 8, 8)), 1e-3)
    before, after = pixels.flatten(1), seen[0].flatten(1).cpu()
    centred = before - before.mean(1, keepdim=True)
    gains = (centred * after).sum(1) / centred.square().sum(1) - 1
    shifts = (after - (1 + gains[:, None]) * before).mean(1)
    noise = after - (1 + gains[:, None]) * before - shifts[:, None]
    assert gains.std().item() == pytest.approx(0.05, rel=0.15) and abs(gains.mean()) < 0.01
    assert shifts.std().item() == pytest.approx(0.05, rel=0.15) and abs(shifts.mean()) < 0.01
    assert noise.std().item() == pytest.approx(0.02, rel=0.05)


def test_the_rate_rises_over_fifty_steps_and_falls_to_nothing():
    rates = [learning._rate(step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(2e-3 / 50)
    assert rates.index(max(rates)) == 49
    assert rates[499:501] == pytest.approx([1e-3, 1e-3], rel=0.01)
    assert rates[50:] == sorted(rates[50:], reverse=True) and rates[-1] < 1e-5


def test_the_finer_level_sees_the_coarser_one_enlarged_and_beside_it():
    torch.manual_seed(0)
    network = SegmentationNetwork(2).eval()
    pictures = torch.randn(2, 2, 64, 96)
    levels = list(accumulate(network.down, lambda fine, down: down(fine), initial=pictures))[1:]
    wide = levels.pop()
    for up in network.up:
        enlarged = wide.repeat_interleave(2, 2).repeat_interleave(2, 3)
        wide = up.norm(up.convolution(torch.cat([enlarged, levels.pop()], 1))).relu()
    torch.testing.assert_close(network(pictures), network.head(wide))


def test_the_same_seed_learns_the_same_network():
    images = prepared([good_part(number) for number in range(4)])
    one, two, other = (learn_defects(images, images.numel() // 3, 3, seed, silent) for seed in (1, 1, 2))
    maps = [detector.pixels(images[:1]) for detector in (one, two, other)]
    assert torch.equal(maps[0], maps[1])
    assert not torch.equal(maps[0], maps[2])


def test_a_defect_that_was_never_drawn_is_seen(model):
    detector = model.inspector.detector
    parts = [defective_part(number) for number in range(100, 104)]
    maps = detector.pixels(prepared(parts))
    assert maps.shape == (4, SIDE, SIDE) and maps.min() >= 0 and maps.max() <= 1
    truth = np.zeros((4, SIDE, SIDE), bool)
    truth[:, 60:84, 40:64] = True
    assert roc_auc_score(truth.ravel(), maps.numpy().ravel()) > 0.9


def test_the_map_is_one_more_of_the_model_and_survives_the_file(model, tmp_path):
    assert [usual.ranks for usual in model.calibration.usual] == [0.5, 0.5, 1, 0, 1]
    assert [usual.surprises for usual in model.calibration.usual] == [True, True, False, True, True]
    views = ((), (2,), (2, 3))
    model = replace(model, inspector=replace(model.inspector, detector=replace(model.inspector.detector, views=views)))
    save(model, tmp_path / "model.sclvi")
    read = load(tmp_path / "model.sclvi")
    assert read.inspector.detector.views == views
    parts = [defective_part(100), good_part(101)]
    for one, two in zip(model.inspect(parts), read.inspect(parts), strict=True):
        np.testing.assert_array_equal(one.anomaly_map, two.anomaly_map)


def test_what_was_taught_is_excused_and_a_defect_beside_it_is_not(model, tmp_path):
    taught = model.teach(stained(50), [STAIN], by="Ada")
    assert taught.inspector.detector.taught is not None, "the stain must be unusual to the detector for this test"
    images = prepared([stained(50), scarred(stained(50)), stained(51)])
    before, after = (one.inspector.score(images)[0][-1] for one in (model, taught))
    stain = (slice(STAIN.y, STAIN.y + STAIN.height), slice(STAIN.x, STAIN.x + STAIN.width))
    scar = (slice(SCAR.y, SCAR.y + SCAR.height), slice(SCAR.x, SCAR.x + SCAR.width))
    unusual = model.calibration.usual[-1].unusual
    assert before[0][stain].max() > unusual > after[0][stain].max()
    assert after[2][stain].max() < 0.8 * before[2][stain].max()
    assert after[1][scar].max() > unusual
    assert torch.equal(before[1][scar], after[1][scar])
    assert (after <= before).all()
    save(taught, tmp_path / "taught.sclvi")
    assert torch.equal(load(tmp_path / "taught.sclvi").inspector.score(images)[0][-1], after)
    undone = taught.undo(1)
    assert torch.equal(undone.inspector.score(images)[0][-1], before)
    assert undone.fingerprint == model.fingerprint


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(32, 60), width=st.integers(32, 60))
def test_excusing_is_what_the_plain_loops_do(seed, height, width):
    generator = torch.Generator().manual_seed(seed)
    stride, patch, usual, above = 8, 32, 0.4, 0.3
    rows, columns = (height - patch) // stride + 1, (width - patch) // stride + 1
    maps = torch.rand(2, height, width, generator=generator)
    codes = torch.rand(2, rows, columns, 3, generator=generator)
    exemplars = Exemplars(torch.rand(4, 3, generator=generator), torch.arange(4))
    learned = 0.7 * torch.rand(2, rows, columns, generator=generator)
    expected = maps.clone()
    for picture in range(2):
        for y in range(height):
            for x in range(width):
                if maps[picture, y, x] <= above:
                    continue
                # pixels past the last patch count as the last that one covers
                at_y, at_x = (min(at, (n - 1) * stride + patch - 1) for at, n in ((y, rows), (x, columns)))
                covering = [
                    distance
                    for row in range(rows)
                    for column in range(columns)
                    for exemplar in exemplars.codes
                    if row * stride <= at_y < row * stride + patch
                    and column * stride <= at_x < column * stride + patch
                    and (distance := (codes[picture, row, column] - exemplar).norm().item())
                    < learned[picture, row, column]
                ]
                expected[picture, y, x] = min(maps[picture, y, x].item(), usual * min(covering, default=math.inf))
    found = excuse(maps, codes, learned, stride, patch, TaughtLooks(Taught(exemplars, above), usual))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_a_model_with_tiles_has_one_too():
    settings_of_tiles = sclvi.Settings(steps=1, batch=2, pairs=32, synthetic_steps=2, tile=128, overlap=32)
    large = [np.tile(good_part(number), (2, 2, 1)) for number in range(3)]
    model = sclvi.train(large, settings_of_tiles)
    assert model.inspector.detector is not None
    shown = 2 * 8 * 64**2 / (3 * (2 * SIDE) ** 2)  # a pixel on two tiles or four is one pixel
    assert model.inspector.detector.showings == pytest.approx(shown)
    (inspection,) = model.inspect([large[0]])
    assert inspection.anomaly_map.shape == (2 * SIDE, 2 * SIDE)


def test_the_less_it_learned_the_more_it_takes_to_surprise_it(model):
    learned = learn_defects(prepared([good_part(number) for number in range(30)]), 30 * SIDE**2, 20, 0, silent)
    assert learned is not None
    assert replace(model.inspector, detector=learned).roles(True)[-1].caution == pytest.approx(4000 / 20)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="records the work of a GPU")
def test_what_is_recorded_is_what_would_have_been_done(monkeypatch):
    artist = learning._Artist(prepared([good_part(number) for number in range(8)]), 0)

    def losses():
        learner = learning._Learner(3, 0)
        with repeatable(learner.device):
            return [learner.step(artist[step], 1e-3) for step in range(12)]

    recorded = losses()
    assert recorded == losses() and len(set(recorded)) == 12
    monkeypatch.setattr(learning, "Recorded", lambda function: function)
    np.testing.assert_allclose(losses(), recorded, rtol=1e-3)


def test_what_is_marked_can_be_seen(monkeypatch):
    monkeypatch.setattr("sclvi.synthetic.defects._MOST", 1)  # a second one may undo what the first did
    rng = np.random.default_rng(0)
    marked = 0
    for number in range(60):
        picture = rng.normal(0, 0.3, (96, 96, 3)).astype(np.float32)
        other = rng.normal(0, 0.3, (96, 96, 3)).astype(np.float32)
        changed, mask = with_defects(picture, other, np.random.default_rng(number))
        assert (np.abs(changed - picture).mean(-1)[mask] > 0.0599).all()
        marked += mask.sum()
    assert marked


def test_a_step_moves_the_weights_by_the_rate_that_it_is_given(generator):
    learner = _Learner(1, 0)
    crops = _Crops(
        torch.randn(4, 1, 32, 32, generator=generator), (torch.rand(4, 1, 16, 16, generator=generator) > 0.9).float()
    )
    moved = []
    for rate in (0.0, 1e-4, 1e-3):
        before = [one.detach().clone() for one in learner.network.parameters()]
        learner.step(crops, rate)
        after = learner.network.parameters()
        moved.append(max(float((one - other).detach().abs().max()) for one, other in zip(after, before, strict=True)))
    assert moved[0] == 0 < moved[1] < moved[2]
