from contextlib import nullcontext

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sclvi.context.contrastive import TEMPERATURE, contrastive_loss, sample_positions
from sclvi.context.losses import context_loss, patch_svdd_loss, total_loss
from sclvi.context.pretexts import PRETEXTS
from sclvi.context.procedural import draw_picture
from sclvi.context.training import measure_statistics, train_encoder
from sclvi.context.views import repeat_quarter, two_views
from sclvi.data.light import normalise_light
from sclvi.encoders.compute import reduced_precision
from sclvi.encoders.dense import DenseEncoder
from sclvi.encoders.paper import PaperEncoder
from sclvi.errors import SclviError
from sclvi.settings import Settings, preset


def test_context_loss_is_eq_1():
    logits, classes = torch.randn(5, 12), torch.tensor([0, 3, 11, 5, 5])
    by_hand = -torch.stack([logits[i].softmax(0)[c].log() for i, c in enumerate(classes)]).mean()
    torch.testing.assert_close(context_loss(logits, classes), by_hand)


def test_patch_svdd_loss_is_eq_2():
    first, moved = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[3.0, 4.0], [1.0, 2.0]])
    assert patch_svdd_loss(first, moved).item() == 6.0  # 5 + 1
    assert total_loss(torch.tensor(2.0), torch.tensor(6.0), 0.5).item() == 5.0  # eq. 3


def test_patch_svdd_loss_of_equal_codes_has_a_finite_gradient():
    codes = torch.ones(3, 4, requires_grad=True)
    patch_svdd_loss(codes, torch.ones(3, 4)).backward()
    assert codes.grad.isfinite().all()


def test_contrastive_loss_by_loops():
    first, second = torch.randn(4, 8), torch.randn(4, 8)
    losses = []
    for i in range(4):
        cosines = torch.stack([F.cosine_similarity(first[i], second[j], dim=0) for j in range(4)])
        losses.append(-(cosines / TEMPERATURE).softmax(0)[i].log())
    torch.testing.assert_close(contrastive_loss(first, second), torch.stack(losses).mean())


def test_sampled_positions_are_apart(generator):
    rows, columns = sample_positions(50, 21, 33, 2, generator)
    assert len({*zip(rows.tolist(), columns.tolist(), strict=True)}) == 50
    assert rows.max() < 21 and columns.max() < 33
    assert (rows % 2 == 0).all() and (columns % 2 == 0).all()


MAX_SHIFT = 3


def test_views_are_crops_of_the_picture_shifted_against_each_other():
    image = torch.randn(1, 1, 40, 50) * 10  # strong, so that noise and colour shift are small beside it
    found = set()
    for seed in range(40):
        shifts = []
        generator = torch.Generator().manual_seed(seed)
        for view in two_views(image, MAX_SHIFT, 0.1, 0.05, generator, generator):
            assert view.shape == (1, 1, 40 - MAX_SHIFT, 50 - MAX_SHIFT)
            errors = {
                (y, x): (view - image[:, :, y : y + view.shape[2], x : x + view.shape[3]]).abs().max().item()
                for y in range(MAX_SHIFT + 1)
                for x in range(MAX_SHIFT + 1)
            }
            best = min(errors, key=errors.get)
            assert errors[best] < 1
            shifts.append(best)
        assert shifts[0] != shifts[1]
        found.add((shifts[1][0] - shifts[0][0], shifts[1][1] - shifts[0][1]))
    assert len(found) > 15


def test_light_is_normalised_per_picture():
    images = torch.rand(3, 3, 20, 30) * torch.tensor([1.0, 0.1, 0.5])[:, None, None, None] + 0.2
    light = normalise_light(images)
    assert light.mean((1, 2, 3)).abs().max() < 1e-4
    torch.testing.assert_close(light.flatten(1).std(1, correction=0), torch.ones(3), rtol=0.05, atol=0)
    torch.testing.assert_close(normalise_light(images * 0.5 + 0.3)[0], light[0], rtol=0.01, atol=0.01)
    assert normalise_light(torch.full((1, 3, 9, 9), 0.5)).isfinite().all()


def test_procedural_pictures_come_from_their_seed():
    first, again, other = (draw_picture(np.random.default_rng(seed), 64) for seed in (3, 3, 4))
    assert first.shape == (64, 64, 3) and first.dtype == np.float32
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.fixture(scope="module")
def arranged():
    """Pictures whose patches tell where they are: four differently textured quarters."""
    y, x = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    base = torch.where(y < 64, torch.where(x < 64, (x % 8) / 8, (y % 16) / 16), torch.where(x < 64, y / 128, x / 128))
    noise = 0.02 * torch.randn(12, 1, 128, 128, generator=torch.Generator().manual_seed(5))
    return normalise_light(base[None, None] + noise)


def test_training_learns_positions_and_is_the_same_twice(arranged):
    settings = Settings(steps=40, batch=2, pairs=128, encoder_rate=1e-3)

    def learn():
        torch.manual_seed(0)
        encoder = DenseEncoder(1).to(memory_format=torch.channels_last)
        log = train_encoder(encoder, lambda indices: arranged[indices], len(arranged), settings, lambda *_: None)
        return encoder, log

    encoder, log = learn()
    assert [row.step for row in log] == list(range(1, 41))
    assert np.mean([row.accuracy for row in log[:3]]) < 0.25  # chance is 1/12
    assert np.mean([row.accuracy for row in log[-5:]]) > 0.4
    again, _ = learn()
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


@pytest.mark.parametrize(("crop", "seen"), [(None, (125, 125)), (128, (125, 125)), (2000, (125, 125))])
def test_parts_of_pictures_smaller_than_the_crop_are_whole(arranged, monkeypatch, crop, seen):
    assert sizes_seen(arranged, crop, monkeypatch) == {seen}  # views are shifted against each other by up to 3 px


def test_a_step_sees_parts_of_large_pictures_only(arranged, monkeypatch):
    wide = torch.cat([arranged, arranged], 3)  # 128 x 256
    assert sizes_seen(wide, 128, monkeypatch) == {(125, 128)}


def sizes_seen(images, crop, monkeypatch):
    """(h, w) of what the encoder is given in two steps."""
    sizes = set()
    read = DenseEncoder.read
    monkeypatch.setattr(
        DenseEncoder, "read", lambda self, views: sizes.add(tuple(views.shape[2:])) or read(self, views)
    )
    settings = Settings(steps=2, batch=2, pairs=16, crop=crop)
    train_encoder(DenseEncoder(1), lambda indices: images[indices], len(images), settings, lambda *_: None)
    return sizes


def test_statistics_are_those_of_all_pictures(arranged):
    encoder = DenseEncoder(1)
    measure_statistics(encoder, iter(arranged.split(4)))
    with torch.no_grad(), reduced_precision(torch.device("cpu")):
        inside = encoder.main[0](arranged).float()
    expected = torch.stack([batch.mean((0, 2, 3)) for batch in inside.split(4)]).mean(0)
    torch.testing.assert_close(encoder.main[1].running_mean, expected, rtol=1e-3, atol=1e-4)
    assert not encoder.training


@pytest.mark.parametrize("name", PRETEXTS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_pretext_trains_the_dense_encoder_on_pictures_that_are_not_square(name, channels):
    images = torch.randn(3, channels, 136, 150, generator=torch.Generator().manual_seed(1))
    settings = Settings(pretext=name, steps=2, batch=1, pairs=16, encoder_rate=1e-2)
    encoder = DenseEncoder(channels)
    before = [parameter.clone() for parameter in encoder.parameters()]
    log = train_encoder(encoder, lambda indices: images[indices], 3, settings, lambda *_: None)
    assert all(np.isfinite(row.loss) for row in log)
    assert all((row.accuracy is None) == (name == "none") for row in log)
    assert any(not torch.equal(a, b) for a, b in zip(before, encoder.parameters(), strict=True))


def test_pictures_smaller_than_two_views_of_a_patch_are_refused_in_one_line():
    for side, fits in ((66, False), (67, True)):
        images = torch.rand(2, 1, side, 90, generator=torch.Generator().manual_seed(1))
        with nullcontext() if fits else pytest.raises(SclviError, match="67 px at least"):
            train_encoder(DenseEncoder(1), lambda i, of=images: of[i], 2, Settings(steps=1, batch=1), lambda *_: None)


@pytest.mark.parametrize("name", PRETEXTS)
def test_every_pretext_trains_the_paper_encoder(name):
    images = torch.rand(2, 1, 66, 70, generator=torch.Generator().manual_seed(1))
    settings = preset("paper", pretext=name, steps=1, batch=1, size=(66, 70))
    (row,) = train_encoder(PaperEncoder(1), lambda indices: images[indices], 2, settings, lambda *_: None)
    assert np.isfinite(row.loss)


@pytest.mark.parametrize("name", ["rotation", "colour", "rotation_colour"])
def test_one_picture_a_step_gives_several_answers_under_the_same_content(name, generator):
    """With one answer a step the classifier only follows the last one."""
    views = torch.randn(2, 3, 140, 170, generator=generator)
    quarters = repeat_quarter(views, generator)
    assert quarters.shape == (8, 3, 70, 85)
    for half, view in ((quarters[:4], views[0]), (quarters[4:], views[1])):
        assert all(torch.equal(quarter, half[0]) for quarter in half)
        assert half[0, 0, 0, 0] in view[0]
    places = [(views[v] == quarters[4 * v, :, :1, :1]).all(0).nonzero().tolist() for v in range(2)]
    assert places[0] == places[1]  # both views are cut alike
    _, changes = PRETEXTS[name].change_views(quarters, generator)
    assert len(changes[:4].unique()) == 4 and torch.equal(changes[:4], changes[4:])


def test_views_too_small_for_the_larger_patch_stay_whole(generator):
    views = torch.randn(2, 1, 126, 140, generator=generator)
    assert repeat_quarter(views, generator) is views


def test_each_channel_of_each_view_has_a_colour_shift_of_its_own(generator):
    for view in two_views(torch.zeros(200, 3, 8, 8), 3, 0.5, 0.0, generator, generator):
        shifts = view[:, :, 0, 0]
        assert torch.equal(view, shifts[:, :, None, None].expand_as(view))
        assert shifts.std(0).allclose(torch.tensor(0.5), atol=0.1)
        assert torch.corrcoef(shifts.T).triu(1).abs().max() < 0.3


def test_a_step_moves_encoder_and_classifiers_by_their_own_rates(arranged, monkeypatch):
    made, kind = [], torch.optim.AdamW
    monkeypatch.setattr(torch.optim, "AdamW", lambda *args, **options: made.append(kind(*args, **options)) or made[0])
    encoder = DenseEncoder(1)
    settings = Settings(steps=1, batch=2, pairs=16, encoder_rate=3e-3, classifier_rate=2e-4, weight_decay=7e-3)
    train_encoder(encoder, lambda indices: arranged[indices], len(arranged), settings, lambda *_: None)
    own, classifiers = made[0].param_groups
    assert [id(one) for one in own["params"]] == [id(one) for one in encoder.parameters()]
    assert own["initial_lr"] == 3e-3 and classifiers["initial_lr"] == 2e-4
    assert own["weight_decay"] == classifiers["weight_decay"] == 7e-3


def test_alpha_weighs_the_distance_of_moved_patches(arranged):
    def loss(alpha):
        torch.manual_seed(0)
        settings = Settings(steps=1, batch=2, pairs=16, alpha=alpha)
        (step,) = train_encoder(DenseEncoder(1), arranged.__getitem__, len(arranged), settings, lambda *_: None)
        return step.loss

    without, once, twice = (loss(alpha) for alpha in (0.0, 0.1, 0.2))
    assert once > without + 0.1
    assert twice - once == pytest.approx(once - without, rel=1e-3)
