"""Which patches of a new picture are searched, and what stands for those that are not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from parts import defective_part, good_part

import sclvi
from sclvi.data.box import Box
from sclvi.scoring.closer import estimated, first_patches, nearest_known, worth_a_look

SIDES = st.integers(1, 9)


@given(SIDES, SIDES, st.integers(0, 99))
def test_between_the_first_patches_values_are_drawn_on_straight(height, width, seed):
    """Against torch's own interpolation, which needs a first patch at either end."""
    first = torch.rand(2, (height + 1) // 2, (width + 1) // 2, generator=torch.Generator().manual_seed(seed))
    values = torch.full((2, height, width), torch.nan)  # those of the others are not looked at
    values[:, ::2, ::2] = first
    between = [2 * side - 1 for side in first.shape[1:]]
    expected = F.interpolate(first[:, None], between, mode="bilinear", align_corners=True)
    expected = F.pad(expected, (0, width - between[1], 0, height - between[0]), mode="replicate")[:, 0]
    torch.testing.assert_close(estimated(values), expected)


def test_what_is_missing_next_to_it_is_missing_for_a_patch_between_and_for_no_other():
    values = torch.tensor([[[1.0, 0, 3, 0, torch.inf, 0, 5]]])
    assert estimated(values).tolist() == [[[1, 2, 3, torch.inf, torch.inf, torch.inf, 5]]]


@given(SIDES, SIDES, st.floats(0, 1), st.integers(0, 99))
def test_the_share_that_looks_worst_is_worth_a_look(height, width, share, seed):
    estimates = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))
    wanted = worth_a_look(estimates, share)
    first = first_patches((3, height, width))
    assert not (wanted & first).any()
    for one, chosen, others in zip(estimates, wanted, ~first, strict=True):
        assert int(chosen.sum()) == round(share * int(others.sum()))
        left_out = others & ~chosen
        assert not left_out.any() or not chosen.any() or one[left_out].max() <= one[chosen].min()


def test_the_nearest_known_patch_is_that_whose_middle_is_nearest():
    known = torch.zeros(4, 6, dtype=torch.bool)
    assert nearest_known((10.0, 10.0), known, 32, 8) is None
    known[0, 0] = known[2, 4] = True  # their middles: (16, 16) and (32, 48)
    assert nearest_known((0.0, 0.0), known, 32, 8) == (0, 0)
    assert nearest_known((25.0, 31.0), known, 32, 8) == (0, 0)
    assert nearest_known((25.0, 33.0), known, 32, 8) == (2, 4)
    assert nearest_known((300.0, 300.0), known, 32, 8) == (2, 4)


@pytest.fixture(scope="module")
def model():
    settings = sclvi.Settings(short_side=128, synthetic_steps=0, steps=2)
    return sclvi.train([good_part(number) for number in range(12)], settings)


def judged(model, closer, images):
    settings = model.inspector.settings.model_copy(update={"closer": closer})
    return replace(model.inspector, settings=settings).judge(images)


def test_what_is_looked_up_is_as_if_all_were_and_what_is_not_lies_between(model):
    parts = [defective_part(40), good_part(41)]
    images = model.light(torch.stack([model.read(number, part).aligned for number, part in enumerate(parts)]))
    for all_of_it, one in zip(judged(model, 1.0, images), judged(model, 0.25, images), strict=True):
        looked = one.origins >= 0
        assert bool((all_of_it.origins >= 0).all())
        others = ~first_patches(tuple(looked.shape))
        assert int(looked.sum()) == len(looked) * (int((~others[0]).sum()) + round(0.25 * int(others[0].sum())))
        for name in ("scores", "learned", "distances", "origins"):
            assert torch.equal(getattr(one, name)[looked], getattr(all_of_it, name)[looked]), name
        assert torch.equal(one.codes, all_of_it.codes)
        for name in ("scores", "learned"):
            drawn_on = estimated(getattr(all_of_it, name))
            assert torch.equal(getattr(one, name)[~looked], drawn_on[~looked]), name
        worst = all_of_it.scores[0].argmax()  # of the defective part
        assert bool(looked[0].flatten()[worst])


def test_nothing_between_the_first_may_be_worth_a_look(model):
    """A share of nothing, and a picture so small that there is one 64-px patch."""
    for closer, side in ((0.0, 128), (0.25, 64)):
        image = model.light(model.read(0, good_part(45)).aligned[None])[:, :, :side, :side]
        for one in judged(model, closer, image):
            if closer == 0 or one.scores.shape[1] == 1:
                assert torch.equal(one.origins >= 0, first_patches(tuple(one.origins.shape)))
            assert bool(torch.isfinite(one.scores).all())


def test_a_picture_is_judged_alike_alone_and_among_others(model):
    parts = [good_part(42), defective_part(43), good_part(44)]
    images = model.light(torch.stack([model.read(number, part).aligned for number, part in enumerate(parts)]))
    together = judged(model, 0.25, images)
    for number in range(len(parts)):
        for among, alone in zip(together, judged(model, 0.25, images[[number]]), strict=True):
            assert torch.equal(among.origins[[number]] >= 0, alone.origins >= 0)
            np.testing.assert_allclose(among.scores[[number]], alone.scores, rtol=1e-3, atol=1e-5)


def test_where_something_was_taught_all_is_looked_up(model):
    """What an estimate says may be far from what a look would: it must excuse nothing."""
    part = defective_part(46)
    images = model.light(model.read(0, part).aligned[None])
    taught = model.teach(part).inspector
    assert all(bool((one.origins >= 0).all()) for one in taught.judge(images))
    assert not any(bool((one.origins >= 0).all()) for one in taught.as_learned().judge(images))


def test_what_is_like_a_flagged_patch_is_looked_up_before_it_is_raised(model):
    flagged = model.flag(defective_part(46), [Box(40, 60, 24, 24)])
    parts = [defective_part(47), good_part(48)]
    images = model.light(torch.stack([model.read(number, part).aligned for number, part in enumerate(parts)]))
    thrice = zip(*(judged(*one, images) for one in ((model, 0.0), (flagged, 0.0), (model, 1.0))), strict=True)
    raised = 0
    for before, after, all_of_it in thrice:
        assert bool((after.scores >= before.scores).all())
        more = after.scores > before.scores
        raised += int(more.sum())
        assert bool((after.origins >= 0)[more].all())
        assert torch.equal(after.learned[more], all_of_it.learned[more])
    assert raised


def test_maps_made_side_by_side_are_those_made_in_turn(model):
    image = model.light(model.read(0, defective_part(49)).aligned[None])
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(model.inspector.score(image)[0])
    finally:
        torch.set_num_threads(before)
    assert len(found[0]) == len(found[1]) == 4  # of two patch sizes, the surface, and its lines
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
