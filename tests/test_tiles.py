from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from parts import SIDE, defective_part, good_part
from PIL import Image
from pydantic import ValidationError
from scipy import ndimage

import sclvi as package
from benchmarks.teach import with_threshold
from sclvi.data.good import read_good
from sclvi.data.levels import Levels
from sclvi.data.light import Light, measure_exposure, normalise_light
from sclvi.data.preparing import prepare, to_image
from sclvi.data.tiles import Stitching, TileNumbers, Tiling, tile_size
from sclvi.evaluation.evaluate import evaluate
from sclvi.learn import build_model, learn_good
from sclvi.progress import silent
from sclvi.scoring.maps import fuse_maps
from sclvi.scoring.strangers import Stranger
from sclvi.settings import preset

# cuDNN rounds inputs to ten bits, and takes another way for another size
ROUNDED = 2e-2 if torch.cuda.is_available() else None
QUICK = {"steps": 2, "batch": 2, "pairs": 32, "synthetic_steps": 0}
TILED = package.Settings(**QUICK, tile=128, overlap=64)
sides = st.integers(16, 700)
tilings = st.builds(Tiling, st.tuples(st.integers(64, 200), st.integers(64, 200)), st.integers(0, 100))


def web(number, height=2 * SIDE, width=3 * SIDE):
    """Good parts side by side."""
    rows = [
        np.concatenate([good_part(100 * number + 10 * row + column) for column in range(width // SIDE + 1)], axis=1)
        for row in range(height // SIDE + 1)
    ]
    return np.concatenate(rows)[:height, :width]


# the plan


@given(tilings, sides, sides)
def test_each_pixel_is_decided_by_one_tile_that_shows_it(tiling, height, width):
    decided = np.zeros((height, width), int)
    for tile in tiling.plan((height, width)):
        decided[tile.rows, tile.columns] += 1
        assert tile.top >= 0 and tile.left >= 0
        for whole, core, start, side in zip(
            (tile.rows, tile.columns), tile.core, (tile.top, tile.left), tiling.size, strict=True
        ):
            assert 0 <= core.start < core.stop <= side
            assert (whole.start - start, whole.stop - start) == (core.start, core.stop)
    assert (decided == 1).all()
    assert tiling.count((height, width)) == len(tiling.plan((height, width)))


@given(tilings, sides, sides)
def test_tiles_lie_inside_a_picture_that_is_no_smaller_and_borders_inside_the_overlap(tiling, height, width):
    for axis, length in enumerate((height, width)):
        starts = sorted({(tile.top, tile.left)[axis] for tile in tiling.plan((height, width))})
        side = tiling.size[axis]
        assert starts[0] == 0 and (starts[-1] + side == length if length > side else starts == [0])
        shared = [before + side - after for before, after in pairwise(starts)]
        assert all(one >= min(tiling.overlap, side // 2) for one in shared)


@given(st.lists(st.tuples(sides, sides), min_size=1, max_size=5), tilings)
def test_tiles_of_several_pictures_are_numbered_one_after_the_other(pictures, tiling):
    numbers = TileNumbers(tiling, tuple(pictures))
    found = [numbers.find(number) for number in range(len(numbers))]
    assert found == [(picture, tile) for picture, size in enumerate(pictures) for tile in tiling.plan(size)]
    assert [number for picture in range(len(pictures)) for number in numbers.of(picture)] == [*range(len(numbers))]


@given(tilings, sides, sides)
def test_cut_tiles_show_the_picture_and_beyond_it_its_edge(tiling, height, width):
    picture = np.arange(height * width, dtype=np.float32).reshape(height, width, 1)
    for tile in tiling.plan((height, width)):
        piece = tiling.cut(picture, tile)
        rows = np.minimum(np.arange(tile.top, tile.top + tiling.size[0]), height - 1)
        columns = np.minimum(np.arange(tile.left, tile.left + tiling.size[1]), width - 1)
        assert np.array_equal(piece, picture[np.ix_(rows, columns)])


@given(tilings, sides, sides, st.integers(500, 200_000))
def test_a_stitched_map_is_the_largest_value_of_each_block(tiling, height, width, most):
    whole = np.random.default_rng(height).random((height, width), np.float32)
    stitching = Stitching((height, width), most)
    for tile in tiling.plan((height, width)):
        padded = np.full(
            tiling.size, 9, np.float32
        )  # beyond the picture, and overlaps that others decide: not looked at
        rows, columns = tile.core
        padded[rows, columns] = whole[tile.rows, tile.columns]
        stitching.put(padded, tile)
    step = stitching.step
    expected = [
        [whole[y : y + step, x : x + step].max() for x in range(0, width, step)] for y in range(0, height, step)
    ]
    assert np.array_equal(stitching.map, np.array(expected))
    assert height * width / step**2 <= most


def test_tiles_are_no_larger_than_the_usual_picture_and_no_smaller_than_a_patch():
    assert tile_size([(1000, 900)] * 3, 512) == (512, 512)
    assert tile_size([(300, 900), (310, 900), (20, 20)], 512) == (300, 512)
    assert tile_size([(40, 30)], 512) == (64, 64)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("levels", [None, Levels(np.full(1, 0.1), np.full(1, 0.7), False)])
def test_exposure_is_the_mean_and_deviation_of_the_picture_as_it_is_prepared(channels, levels):
    picture = np.random.default_rng(0).integers(0, 60000, (70, 90, channels)).astype(np.uint16)
    image = to_image(picture, levels)
    exposure = measure_exposure(picture, levels)
    assert (exposure.mean, exposure.deviation) == pytest.approx((image.mean().item(), image.std(correction=0).item()))
    torch.testing.assert_close(
        Light(None)(image[None, :, :20], exposure), normalise_light(image[None])[:, :, :20], atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("levels", [None, Levels(np.full(3, 200.0), np.full(3, 300.0), True)])
def test_a_dead_pixel_hardly_counts_in_the_exposure(levels):
    picture = np.random.default_rng(0).uniform(0.2, 0.8, (600, 300, 3)).astype(np.float32)
    if levels is not None:
        picture = 200 + 100 * picture
    dead = picture.copy()
    dead[500, 20] = 1e20
    alive, spoilt = measure_exposure(picture, levels), measure_exposure(dead, levels)
    image = to_image(dead, levels).double()
    assert (spoilt.mean, spoilt.deviation) == pytest.approx((image.mean().item(), image.std(correction=0).item()))
    assert spoilt.mean == pytest.approx(alive.mean, rel=1e-3)
    assert spoilt.deviation == pytest.approx(alive.deviation, rel=2e-2)
    flat = measure_exposure(np.full((300, 80, 3), 1e29, np.float32), levels)
    assert np.isfinite(flat.mean) and flat.deviation == pytest.approx(0, abs=1e-5)


# the model


@pytest.fixture(scope="module")
def model():
    return package.train([web(number) for number in range(5)], TILED)


@pytest.mark.parametrize("place", [(80, 80), (84, 200), (30, 84), (150, 20)])
def test_a_defect_on_a_tile_border_is_found_once(model, place):
    """Borders lie at 96 and 160 px; the defects lie across both, one, and none."""
    borders = {tile.rows.stop for tile in model.tiles.tiling.plan((2 * SIDE, 3 * SIDE))}
    assert {96, 160} <= borders
    picture = web(50)
    row, column = place
    picture[row : row + 32, column : column + 32] = 20
    (inspection,) = model.inspect([picture])
    near = [
        defect
        for defect in inspection.defects
        if defect.box.x < column + 32 < defect.box.x + defect.box.width + 32
        and defect.box.y < row + 32 < defect.box.y + defect.box.height + 32
    ]
    assert len(near) == 1 and near[0] is inspection.defects[0]
    assert near[0].box.x < column + 8 and near[0].box.x + near[0].box.width > column + 24
    assert near[0].box.y < row + 8 and near[0].box.y + near[0].box.height > row + 24


def test_the_score_is_the_maximum_over_the_tiles(model):
    picture = web(51)
    picture[90:110, 300:320] = 20
    (inspection,) = model.inspect([picture])
    exposure = measure_exposure(picture, None)
    peaks = []
    for tile in model.tiles.tiling.plan(picture.shape[:2]):
        piece = picture[tile.top : tile.top + 128, tile.left : tile.left + 128]
        maps, _ = model.inspector.score(model.light(prepare(piece, (128, 128), 3)[None], exposure))
        rows, columns = tile.core
        peaks.append(fuse_maps(maps, model.calibration.usual, raised=True)[0, rows, columns].max().item())
    assert inspection.score == pytest.approx(max(peaks), rel=1e-4)
    assert inspection.score == inspection.anomaly_map.max()


def test_a_model_with_tiles_is_calibrated_on_whole_pictures(model):
    others = [web(number) for number in range(30, 34)]
    calibrated = package.calibrate(model, others, 0.25)
    assert calibrated.threshold == sorted(inspection.score for inspection in model.inspect(others))[3]


def test_a_map_that_was_stitched_is_that_of_the_whole_picture(model):
    """Where tiles overlap by what a pixel's score sees, 64-px patches and smoothing, no seam is left at all.

    If all patches are searched, that is: which of them look worst in a tile is not which do so in the picture.
    """
    picture = web(52, 480, 480)
    picture[150:180, 230:260] = 20
    exposure = measure_exposure(picture, None)
    settings = model.inspector.settings.model_copy(update={"closer": 1.0})
    inspector = replace(model.inspector, surface=None, settings=settings)
    whole = inspector.score(model.light(to_image(picture, None)[None]))[0]
    tiling = Tiling((320, 320), 160)  # 160 px apart: a multiple of the 16 px between patches
    stitched = [Stitching((480, 480)) for _ in whole]
    for tile in tiling.plan((480, 480)):
        maps, _ = inspector.score(model.light(to_image(tiling.cut(picture, tile), None)[None], exposure))
        for one, stitching in zip(maps, stitched, strict=True):
            stitching.put(one[0].numpy(), tile)
    for expected, stitching in zip(whole, stitched, strict=True):
        np.testing.assert_allclose(stitching.map, expected[0].numpy(), rtol=ROUNDED or 1e-3, atol=1e-4)


def test_all_tiles_of_a_picture_are_hidden_from_it_together(model):
    images = read_good([web(number) for number in range(5)], None, 320, False, silent, None, tile=128, overlap=64).lit(
        Light(None)
    )
    own = model.tiles.of(2)
    patches = model.inspector.memories[0].grid[0] * model.inspector.memories[0].grid[1]
    image = images[torch.tensor([own[7]])]
    hidden = model.inspector.search(image, 10, own)[0].neighbours
    assert not any(number in own for number in (hidden.origins // patches).unique().tolist())
    alone = model.inspector.search(image, 10, range(own[7], own[7] + 1))[0].neighbours
    assert any(number in own for number in (alone.origins // patches).unique().tolist())  # neighbours show the same
    assert alone.distances[:, 0].mean() < 0.5 * hidden.distances[:, 0].mean()


def test_calibration_scores_are_those_of_whole_pictures():
    settings = TILED.model_copy(update={"set_aside": 0.5})
    lesson = learn_good([web(number) for number in range(4)], settings)
    trained = build_model(lesson, settings, 0.0)
    assert len(trained.calibration.scores) == 2
    for number, score in zip(lesson.held.tolist(), trained.calibration.scores, strict=True):
        own = trained.tiles.of(number)
        stitching = Stitching(trained.pictures[number].size)
        batches = Stranger.to(trained.inspector, lesson.moments, lesson.images, own).score(lesson.images, own)
        fused = torch.cat([fuse_maps(maps, trained.calibration.usual, raised=True) for maps in batches])
        for one, tile in zip(fused, trained.tiles.tiling.plan(trained.pictures[number].size), strict=True):
            stitching.put(one.numpy(), tile)
        assert score == pytest.approx(float(stitching.map.max()), rel=1e-5)


def test_pictures_no_larger_than_a_tile_are_inspected_as_without_tiles(monkeypatch):
    # light differs in its last digit, and bf16 would make that the third
    monkeypatch.setattr("sclvi.encoders.compute.has_bf16", lambda device: False)
    parts = [good_part(number) for number in range(6)]
    tiled = package.train(parts, package.Settings(**QUICK, tile=256))
    whole = package.train(parts, package.Settings(**QUICK, size=(SIDE, SIDE), align=False))
    assert tiled.size == (SIDE, SIDE) and len(tiled.tiles) == 6
    assert tiled.threshold == pytest.approx(whole.threshold, rel=1e-3)
    for mine, other in zip(*(one.inspect([good_part(30), defective_part(31)]) for one in (tiled, whole)), strict=True):
        np.testing.assert_allclose(mine.anomaly_map, other.anomaly_map, rtol=ROUNDED or 5e-3, atol=1e-3)
        assert mine.verdict == other.verdict and len(mine.defects) == len(other.defects)
        for defect, same in zip(mine.defects, other.defects, strict=True):
            assert defect.nearest_good.box == same.nearest_good.box
            assert defect.nearest_good.compared == same.nearest_good.compared
            assert defect.nearest_good.placing == same.nearest_good.placing


def test_a_picture_that_is_smaller_than_a_tile_is_inspected(model):
    small = defective_part(60)[:90, :100]
    (inspection,) = model.inspect([small])
    assert inspection.anomaly_map.shape == (90, 100) and inspection.verdict == "defective"
    (box,) = {defect.box for defect in inspection.defects[:1]}
    assert box.x + box.width <= 100 and box.y + box.height <= 90


def test_of_a_large_picture_boxes_and_outlines_are_in_its_own_pixels(model, monkeypatch):
    """A map of one value for each 3 x 3 px gives the score of the full one, and its defects to 3 px."""
    picture = web(53, 250, 379)  # no multiples of 3
    picture[226:250, 350:379] = 20
    (fine,) = model.inspect([picture])
    monkeypatch.setattr("sclvi.inspect_tiles.Stitching", lambda size: Stitching(size, 11_000))
    (coarse,) = model.inspect([picture])
    assert coarse.anomaly_map.shape == (84, 127)
    assert coarse.score == fine.score
    padded = np.pad(fine.anomaly_map, ((0, 2), (0, 2)), constant_values=-np.inf)  # 250 and 379 to 252 and 381
    blocks = padded.reshape(84, 3, 127, 3).max((1, 3))
    labels, _ = ndimage.label(blocks > fine.pixel_threshold, np.ones((3, 3)))
    rows, columns = np.nonzero(labels == labels[np.unravel_index(blocks.argmax(), blocks.shape)])
    other = coarse.defects[0]
    assert abs(other.box.x - 3 * columns.min()) <= 3 and abs(other.box.y - 3 * rows.min()) <= 3
    assert other.box.x + other.box.width == 379 and other.box.y + other.box.height == 250
    assert np.array(other.polygon).max(0).tolist() == [379, 250]


def test_a_bad_picture_is_skipped_and_saved_models_inspect_alike(model, tmp_path):
    (tmp_path / "words.png").write_text("words")
    skipped = []
    sources = [tmp_path / "words.png", web(54), good_part(1, 1)]
    (before,) = model.inspect(sources, lambda name, error: skipped.append((name, str(error))))
    assert [name for name, _ in skipped] == [str(tmp_path / "words.png"), "array 2"]
    assert all(error.startswith(name) for name, error in skipped)
    package.save(model, tmp_path / "web.sclvi")
    (after,) = package.load(tmp_path / "web.sclvi").inspect([web(54)])
    assert np.array_equal(before.anomaly_map, after.anomaly_map)


def test_pixel_figures_take_pictures_of_one_size(model, tmp_path):
    for folder in ("train/good", "test/good", "test/blotch", "ground_truth/blotch"):
        (tmp_path / folder).mkdir(parents=True)
    bad, mask = web(55), np.zeros((2 * SIDE, 3 * SIDE), np.uint8)
    bad[80:120, 80:120] = 20
    mask[80:120, 80:120] = 255
    Image.fromarray(web(56)).save(tmp_path / "train/good/0.png")
    Image.fromarray(web(57)).save(tmp_path / "test/good/0.png")
    Image.fromarray(bad).save(tmp_path / "test/blotch/0.png")
    Image.fromarray(mask).save(tmp_path / "ground_truth/blotch/0_mask.png")
    assert evaluate(model, tmp_path).figures["pixel_auroc"] > 0.9
    Image.fromarray(web(58, 200, 200)).save(tmp_path / "test/good/1.png")
    figures = evaluate(model, tmp_path).figures
    assert figures["pixel_auroc"] is None and figures["image_auroc"] is not None


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"tile": 100}, "128"),
        ({"tile": 128, "overlap": 65}, "64 px at most"),
        ({"tile": 128, "size": (64, 64)}, "not both"),
        ({"tile": 128, "light": "mean"}, "light to picture"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(wrong, says):
    with pytest.raises(ValidationError, match=says):
        package.Settings(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"memory_mib": float("inf")}, {"thumbnails_kib": float("nan")}, {"eta": 10**9}, {"size": (-5, 96)}, {"seed": -1}],
)
def test_settings_that_nothing_can_be_done_with_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        package.Settings(**wrong)


def test_settings_without_tiles_keep_their_fingerprint():
    assert preset("default", set_aside=0.2, closer=1, smoothing=2.5, synthetic_steps=0).fingerprint() == "09a1e328a040"
    assert len({package.Settings(tile=tile).fingerprint() for tile in (None, 128, 256)}) == 3


def test_the_command_line_trains_and_inspects_in_tiles(sclvi, tmp_path):
    (tmp_path / "good").mkdir()
    for number in range(3):
        Image.fromarray(web(number, 130, 200)).save(tmp_path / f"good/{number}.png")
    bad = web(4, 130, 200)
    bad[90:120, 80:110] = 20
    Image.fromarray(bad).save(tmp_path / "bad.png")
    out = tmp_path / "web.sclvi"
    options = ("--tile", 128, "--overlap", 32, "--steps", 1, "--synthetic-steps", 0)
    code, said, _ = sclvi("train", tmp_path / "good", *options, "--out", out)
    assert code == 0 and "in 12 tiles of 128x128 px" in said
    code, said, _ = sclvi("inspect", out, tmp_path / "bad.png", "--out", tmp_path / "r", "--fail-on-defect")
    assert code == 3 and (tmp_path / "r/report.html").exists()
    code, _, err = sclvi("train", tmp_path / "good", "--tile", 128, "--size", 64, "--out", out)
    assert code == 2 and "leave --size out" in err and len(err.splitlines()) == 1
    code, _, err = sclvi("train", tmp_path / "good", "--tile", 100, "--out", out)
    assert code == 2 and len(err.splitlines()) == 1


def test_the_audit_looks_at_whole_pictures():
    parts = [web(number, 130, 200) for number in range(4)]
    again = parts[1].copy()
    again[0, 0] += 1  # the same pixels would not get as far as the audit
    trained = package.train([*parts, again], TILED.model_copy(update={"audit": "drop", "steps": 1}))
    assert [picture.name for picture in trained.pictures] == ["array 0", "array 1", "array 2", "array 3"]
    assert len(trained.tiles) == 4 * trained.tiles.tiling.count((130, 200))


def test_of_a_picture_that_was_learned_each_place_is_nearest_to_itself(model):
    seen = []
    for number in range(5):
        (plain,) = model.inspect([web(number)])
        low = float(np.quantile(plain.anomaly_map, 0.995))
        (inspection,) = with_threshold(model, low).inspect([web(number)])
        seen += [(number, defect.box, defect.nearest_good) for defect in inspection.defects]
    assert {(why.compared.y > 128, why.compared.x > 128) for *_, why in seen} >= {(True, True), (False, True)}
    for number, box, why in seen:
        assert (why.picture, why.box, why.placing) == (f"array {number}", why.compared, ((1, 0, 0), (0, 1, 0)))
        assert box.x - 32 <= why.compared.x <= box.x + box.width and box.y - 32 <= why.compared.y <= box.y + box.height


def test_appearance_is_measured_alike_in_training_and_inspection(model):
    for inspection, known in zip(model.inspect([web(number) for number in range(5)]), model.pictures, strict=True):
        assert inspection.appearance == known.appearance


def test_some_of_the_pictures_keep_their_own_exposure():
    parts = [web(number) // (1 + number) for number in range(4)]
    some = read_good(parts, None, 320, False, silent, None, tile=128, overlap=64).only([1, 3])
    alone = read_good([parts[1], parts[3]], None, 320, False, silent, None, tile=128, overlap=64)
    every = torch.arange(len(alone.images))
    assert torch.equal(some.lit(Light(None))[every], alone.lit(Light(None))[every])
