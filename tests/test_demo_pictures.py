"""The demo's pictures: reproducible, five kinds of defects, true masks, and nothing but the defect gives them away."""

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from sclvi.demo.pictures import CATEGORIES, draw, write_category

EVERY_KIND = [(category, kind) for category, recipe in CATEGORIES.items() for kind in recipe.defects]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    for category in CATEGORIES:
        write_category(folder, category, 7, train=3, good=2, per_defect=1)
    return folder


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_texture_and_an_object_with_five_kinds_of_defects_each():
    assert {category: len(recipe.defects) for category, recipe in CATEGORIES.items()} == {"weave": 5, "gear": 5}


@pytest.mark.parametrize("category", CATEGORIES)
def test_layout_is_that_of_mvtec(root, category):
    kinds = CATEGORIES[category].defects
    expected = {f"train/good/{number:03}.png" for number in range(3)} | {"test/good/000.png", "test/good/001.png"}
    expected |= {f"test/{kind}/000.png" for kind in kinds} | {f"ground_truth/{kind}/000_mask.png" for kind in kinds}
    assert set(files(root / category)) == expected
    for name in expected:
        picture = cv2.imread(str(root / category / name), cv2.IMREAD_UNCHANGED)
        assert picture.dtype == np.uint8
        if "mask" in name:
            assert picture.shape == (256, 256)
            assert set(np.unique(picture)) == {0, 255}
        else:
            assert picture.shape == (256, 256, 3)


@pytest.mark.parametrize("category", CATEGORIES)
def test_same_seed_same_bytes_and_more_pictures_change_no_others(root, tmp_path, category):
    again = files(write_category(tmp_path / "again", category, 7, train=4, good=2, per_defect=1))
    before = files(root / category)
    assert before == {name: data for name, data in again.items() if name in before}
    other = files(write_category(tmp_path / "other", category, 8, train=3, good=2, per_defect=1))
    assert not set(before.values()) & set(other.values())
    assert len(set(again.values())) == len(again)


@pytest.mark.parametrize(("category", "kind"), EVERY_KIND)
def test_the_mask_is_where_the_picture_differs_from_its_good_twin(category, kind):
    for number in range(4):
        spoiled, good = draw(category, kind, 1, "test", number), draw(category, None, 1, "test", number)
        assert not good.mask.any()
        assert 30 <= spoiled.mask.sum() < 0.15 * spoiled.mask.size
        change = np.abs(spoiled.picture.astype(int) - good.picture).max(-1)
        assert change[~spoiled.mask].max() <= 8  # the edge of what counts as visible, and rounding
        assert (change[~spoiled.mask] > 2).mean() < 0.02
        assert (change[spoiled.mask] > 5).mean() > 0.5
        assert change[spoiled.mask].max() > 12  # above the noise, if not by much


@pytest.mark.parametrize("category", CATEGORIES)
def test_light_does_not_tell_good_from_defective(category):
    good = [draw(category, None, 2, "test/good", number).picture for number in range(25)]
    kinds = CATEGORIES[category].defects
    bad = [draw(category, kind, 2, f"test/{kind}", number).picture for kind in kinds for number in range(5)]
    labels = [0] * len(good) + [1] * len(bad)
    for measure in (np.mean, np.std, lambda picture: picture[:8].mean(), lambda picture: picture[..., 2].mean()):
        values = [float(measure(picture)) for picture in good + bad]
        assert 0.25 < roc_auc_score(labels, values) < 0.75  # 0.5 give or take three deviations of 25 against 25
        assert np.std(values) > 0  # good pictures vary


@pytest.mark.parametrize("category", CATEGORIES)
def test_good_pictures_vary_and_are_no_test_card(category):
    first, second = (draw(category, None, 3, "train/good", number).picture.astype(float) for number in range(2))
    assert np.abs(first - second).mean() > 3
    assert first.std() > 15
    assert len(np.unique(first.astype(np.uint8).reshape(-1, 3), axis=0)) > 2000


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="weave, gear"):
        draw("spoon", None, 0, "test", 0)
    with pytest.raises(ValueError, match="broken_tooth"):
        draw("gear", "slub", 0, "test", 0)
