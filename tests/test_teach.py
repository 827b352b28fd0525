"""What a person says of a picture: it is accepted, or rejected, from then on; defects elsewhere are found; undo."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

import sclvi
from sclvi.correct import _around
from sclvi.data.box import Box
from sclvi.data.boxes import patches_inside
from sclvi.data.regions import RegionOfInterest, Regions
from sclvi.errors import SclviError
from sclvi.report.comparison import draw_comparisons
from tests.parts import SIDE, defective_part, good_part

SETTINGS = sclvi.Settings(steps=1, batch=2, pairs=32, short_side=SIDE, synthetic_steps=0)
STAIN, SCAR = Box(88, 30, 20, 20), Box(24, 84, 20, 20)  # each further from the other than a large patch


def stained(number, box=STAIN):
    """A good part with a bright spot, which is fine if someone says so."""
    part = good_part(number)
    part[box.y : box.y + box.height, box.x : box.x + box.width] = 230
    return part


def scarred(number, part=None, box=SCAR):
    """A part with a dark spot, which is a defect."""
    part = good_part(number) if part is None else part.copy()
    part[box.y : box.y + box.height, box.x : box.x + box.width] = 15
    return part


def scratched(number):
    """A part that is a little darker where others have their scar."""
    part = good_part(number)
    part[SCAR.y : SCAR.y + SCAR.height, SCAR.x : SCAR.x + SCAR.width] -= 15
    return part


@pytest.fixture(scope="module")
def model():
    return sclvi.train([good_part(number) for number in range(12)], SETTINGS)


@pytest.fixture(scope="module")
def taught(model):
    return model.teach(stained(50), [STAIN], by="Ada")


def inspect(model, *parts):
    return list(model.inspect(parts))


def reached(box, inspection):
    """Whether a defect touches the box."""
    return any(
        defect.box.x < box.x + box.width
        and box.x < defect.box.x + defect.box.width
        and defect.box.y < box.y + box.height
        and box.y < defect.box.y + defect.box.height
        for defect in inspection.defects
    )


def shown(box, inspection):
    """The most that the map shows there."""
    return inspection.anomaly_map[box.y : box.y + box.height, box.x : box.x + box.width].max()


def same(model, other, parts):
    """Bit for bit; but for the name of the nearest good picture, which holds the correction's number for arrays."""
    return all(
        np.array_equal(one.anomaly_map, two.anomaly_map)
        and one.score == two.score
        and [defect.polygon for defect in one.defects] == [defect.polygon for defect in two.defects]
        for one, two in zip(inspect(model, *parts), inspect(other, *parts), strict=True)
    )


def test_what_was_taught_passes_and_so_does_its_like(model, taught):
    before = inspect(model, stained(50), stained(51), stained(52))
    after = inspect(taught, stained(50), stained(51), stained(52))
    assert all(inspection.verdict == "defective" and reached(STAIN, inspection) for inspection in before)
    assert after[0].verdict == "good"
    for old, new in zip(before[1:], after[1:], strict=True):  # the pins below the stain lie elsewhere
        assert new.score < 0.5 * old.score


def test_it_passes_at_other_places_of_parts_that_lie_still(model, taught):
    elsewhere = Box(25, 30, 20, 20)  # two periods of the pins to the left
    (before,), (after,) = inspect(model, stained(50, elsewhere)), inspect(taught, stained(50, elsewhere))
    assert reached(elsewhere, before) and after.score < 0.5 * before.score


def test_a_defect_elsewhere_is_found_as_before_even_in_the_picture_that_was_taught(model, taught):
    both = scarred(50, stained(50))
    (before,), (after,) = inspect(model, both), inspect(taught, both)
    assert reached(SCAR, after) and not reached(STAIN, after)
    # filters for lines do not know bright from dark, so of what they say of the scar the stain excuses some
    assert shown(SCAR, after) > 0.75 * shown(SCAR, before)


def test_of_a_whole_picture_what_shows_as_a_defect_is_taught_and_nothing_else(model):
    taught = model.teach(stained(50))
    (before,) = inspect(model, stained(50))
    for memory in taught.inspector.memories:
        cells = memory.taught.exemplars.origins % (memory.grid[0] * memory.grid[1])
        assert 0 < len(cells) < memory.grid[0] * memory.grid[1]
        for row, column in zip(*np.unravel_index(cells.numpy(), memory.grid), strict=True):
            top, left = memory.stride * row, memory.stride * column
            patch = before.anomaly_map[top : top + memory.patch, left : left + memory.patch]
            assert patch.max() > model.threshold
    assert inspect(taught, stained(50))[0].verdict == "good"


def test_a_defect_outside_the_box_stays_one(model):
    both = scarred(54, stained(54))
    (before,), (after,) = inspect(model, both), inspect(model.teach(both, [STAIN]), both)
    assert reached(SCAR, after) and shown(SCAR, after) > 0.6 * shown(SCAR, before)
    assert shown(STAIN, after) < 0.2 * shown(STAIN, before)
    beside = Box(STAIN.x - 24, STAIN.y, 20, 20)  # 4 px from the box
    close = scarred(54, stained(54), beside)
    assert reached(beside, inspect(model.teach(close, [STAIN]), close)[0])
    (all_fine,) = inspect(model.teach(both, [STAIN, SCAR]), both)
    (whole,) = inspect(model.teach(both), both)
    assert all_fine.verdict == whole.verdict == "good"


def test_teaching_makes_no_score_worse(model, taught):
    parts = [good_part(60), defective_part(61), stained(62), scarred(63)]
    for before, after in zip(inspect(model, *parts), inspect(taught, *parts), strict=True):
        assert (after.anomaly_map <= before.anomaly_map * (1 + 1e-5)).all()


def test_nor_does_it_where_something_is_flagged(model):
    flagged = model.flag(scarred(70), [SCAR])
    both = flagged.teach(stained(50), [STAIN])
    parts = [stained(60), scarred(61), scarred(62, stained(62)), good_part(63), scratched(64)]
    for before, after in zip(inspect(flagged, *parts), inspect(both, *parts), strict=True):
        assert (after.anomaly_map <= before.anomaly_map).all()
    assert inspect(both, stained(50))[0].verdict == "good" != inspect(flagged, stained(50))[0].verdict


def test_what_a_region_hides_is_not_in_a_taught_picture_either():
    hidden = np.zeros((SIDE, SIDE), bool)
    hidden[:, : SIDE // 2] = True
    regions = Regions((RegionOfInterest("", "include", (SIDE, SIDE), ~hidden),))
    model = sclvi.train([good_part(number) for number in range(6)], SETTINGS, regions=regions)
    part = stained(50)
    part[hidden] = np.random.default_rng(0).integers(0, 256, part[hidden].shape)
    picture = model.teach(part, [STAIN]).corrections[0].picture
    thumbnail = np.asarray(Image.open(io.BytesIO(picture.thumbnail)))
    assert thumbnail[:, : thumbnail.shape[1] // 2 - 8].std() < 2


def test_a_taught_array_is_not_taken_for_a_good_one(model):
    taught = model.teach(stained(50), [STAIN])
    assert set(taught.known_good) == {*(f"array {number}" for number in range(12)), "corrected array 1"}


def test_the_nearest_good_patch_is_the_taught_one_and_can_be_shown(taught):
    strict = taught.teach(scarred(55), [SCAR])
    number = strict.inspector.memories[0].grid[0] * strict.inspector.memories[0].grid[1]
    _, judged = strict.anomaly_maps(strict.light(strict.read(0, stained(50)).aligned[None]))
    assert (judged.origins // number == strict.picture_number(strict.corrections[0])).any()
    # a strong defect next to the stain is explained by whatever is nearest; all that may be named can be drawn
    part = stained(50)
    part[30:50, 88:108:3] = 0
    (inspection,) = inspect(taught, part)
    names = {defect.nearest_good.picture for defect in inspection.defects if defect.nearest_good}
    assert names <= set(taught.known_good)
    assert taught.corrections[0].picture.name in taught.known_good
    assert draw_comparisons(part, inspection, taught.known_good) is not None


def test_undo_restores_bit_for_bit_in_any_order(model):
    parts = [good_part(70), stained(71), scarred(72), defective_part(73)]
    first = model.teach(stained(50), [STAIN])
    both = first.flag(scarred(51), [SCAR])
    third = both.teach(defective_part(52))
    assert len({one.fingerprint for one in (model, first, both, third)}) == 4
    assert [correction.number for correction in third.corrections] == [1, 2, 3]
    back = third.undo(3)
    assert back.fingerprint == both.fingerprint and same(back, both, parts)
    middle = third.undo(2)
    never = first.teach(defective_part(52))
    assert same(middle, never, parts)
    for order in ([1, 2, 3], [3, 1, 2], [2, 3, 1]):
        undone = third
        for number in order:
            undone = undone.undo(number)
        assert undone.fingerprint == model.fingerprint and undone.corrections == ()
        assert same(undone, model, parts)
    assert not same(first, model, parts)


def test_the_file_keeps_who_said_what_of_which_picture(taught, tmp_path):
    both = taught.flag(scarred(51), [SCAR], by="Grace")
    sclvi.save(both, tmp_path / "part.sclvi")
    again = sclvi.load(tmp_path / "part.sclvi")
    assert again.corrections == both.corrections
    assert [(one.kind, one.by, one.boxes) for one in again.corrections] == [
        ("taught", "Ada", (STAIN,)),
        ("flagged", "Grace", (SCAR,)),
    ]
    assert again.fingerprint == both.fingerprint and again.pictures == both.pictures
    parts = [stained(71), scarred(72)]
    assert same(again, both, parts)
    assert same(again.undo(2).undo(1), taught.undo(1), parts)
    assert again.undo(2).fingerprint == taught.fingerprint


def test_what_was_flagged_and_its_like_score_more_and_good_parts_as_before(model):
    noise = np.random.default_rng(0).integers(-2, 3, (SIDE, SIDE, 3))
    alike = (scratched(80) + noise).astype(np.uint8)
    flagged = model.flag(scratched(80), [SCAR])
    before, after = inspect(model, scratched(80), alike), inspect(flagged, scratched(80), alike)
    for old, new in zip(before, after, strict=True):
        assert new.score > 10 * old.score and new.verdict == "defective" and reached(SCAR, new)
    good = [good_part(number) for number in range(90, 96)]
    scores = [[one.score for one in inspect(which, *good)] for which in (model, flagged)]
    assert all(after >= before * (1 - 1e-6) for before, after in zip(*scores, strict=True))
    np.testing.assert_allclose(*scores, rtol=0.2)


def test_nothing_is_looked_up_where_nothing_was_said(model, taught, monkeypatch):
    looked_up = []
    monkeypatch.setattr("sclvi.memory.exemplars.faiss.knn", lambda *given: looked_up.append(given) or 1 / 0)
    inspect(model, stained(50))
    inspect(taught.undo(1), stained(50))
    assert not looked_up
    with pytest.raises(ZeroDivisionError):
        inspect(taught, stained(50))


def test_calibration_is_kept_and_may_be_renewed(model, taught):
    assert taught.calibration == model.calibration
    others = [good_part(number) for number in range(100, 108)]
    renewed = sclvi.calibrate(taught, others, 0.2)
    assert renewed.fingerprint not in (taught.fingerprint, model.fingerprint)
    assert len(renewed.corrections) == 1
    shown = [good_part(110), stained(111)]
    assert same(renewed.undo(1), sclvi.calibrate(model, others, 0.2), shown) and renewed.undo(1).corrections == ()
    plain, corrected = ([one.score for one in inspect(which, *others)] for which in (model, renewed.undo(1)))
    assert plain == corrected


def test_pictures_that_a_model_was_taught_cannot_calibrate_it(model, tmp_path):
    Image.fromarray(stained(50)).save(tmp_path / "stained.png")
    with pytest.raises(SclviError, match=r"stained\.png.*taught"):
        sclvi.calibrate(model.teach(tmp_path / "stained.png"), tmp_path)


def test_boxes_are_those_of_the_part_as_it_lies(tmp_path):
    """Parts that are cut out of calm background and enlarged: boxes stay in pixels of the picture as taken."""

    def placed(part):
        picture = np.full((200, 260, 3), 60, np.uint8)
        picture[40:140, 50:150] = part[:100, :100]
        return picture

    model = sclvi.train([placed(good_part(number)) for number in range(10)], SETTINGS)
    assert model.alignment.changes
    spot = Box(50 + 40, 40 + 60, 24, 24)
    picture = placed(defective_part(40))  # its blotch is at row 60, column 40
    (before,), (after,) = inspect(model, picture), inspect(model.teach(picture, [spot]), picture)
    assert reached(spot, before) and not reached(spot, after) and after.score < 0.5 * before.score
    beside = model.teach(placed(stained(41, Box(70, 20, 20, 20))), [Box(50 + 70, 40 + 20, 20, 20)])
    assert reached(spot, inspect(beside, picture)[0])
    with pytest.raises(SclviError, match="nothing"):
        model.flag(picture, [Box(240, 180, 10, 10)])  # where the background was cut away


@pytest.mark.parametrize("box", [Box(-1, 0, 4, 4), Box(120, 0, 20, 4), Box(0, 0, 0, 4)])
def test_boxes_outside_are_refused(model, box):
    with pytest.raises(SclviError, match="does not lie"):
        model.teach(good_part(0), [box])


def test_boxes_may_be_numbers_of_numpys_but_no_fractions(model, tmp_path):
    box = Box(*np.array([STAIN.x, STAIN.y, STAIN.width, STAIN.height]))
    sclvi.save(model.teach(stained(50), [box]), tmp_path / "m.sclvi")
    assert sclvi.load(tmp_path / "m.sclvi").corrections[0].boxes == (STAIN,)
    with pytest.raises(SclviError, match="whole pixels"):
        model.teach(stained(50), [Box(88.5, 30, 20, 20)])


def test_two_pictures_of_one_name_in_two_folders_are_told_apart(model, tmp_path, monkeypatch):
    for number, folder in enumerate(("monday", "tuesday")):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        Image.fromarray(stained(50 + number)).save("a.png")
        model = model.teach("a.png", [STAIN])
    names = [correction.picture.name for correction in model.corrections]
    assert names == ["a.png", str(tmp_path / "tuesday" / "a.png")]
    assert set(names) <= set(model.known_good)


def test_what_makes_no_sense_is_refused(model, taught, tmp_path):
    with pytest.raises(SclviError, match="nothing to teach"):
        model.teach(good_part(0))  # which it remembers
    with pytest.raises(SclviError, match="a box is needed"):
        model.flag(scarred(0), [])
    with pytest.raises(SclviError, match="no correction 7: there is 1"):
        taught.undo(7)
    with pytest.raises(SclviError, match=r"none\.png"):
        model.teach(tmp_path / "none.png")
    with pytest.raises(SclviError, match="channel"):
        model.teach(np.zeros((SIDE, SIDE, 2), np.uint8))


def test_a_model_without_surface_and_affinity_learns_from_people_too():
    settings = SETTINGS.model_copy(update={"surface": False, "fusion": "nearest", "raised": False})
    model = sclvi.train([good_part(number) for number in range(6)], settings)
    taught = model.teach(stained(50), [STAIN])
    (before,), (after,) = inspect(model, stained(50)), inspect(taught, stained(50))
    assert after.score < before.score
    assert same(taught.undo(1), model, [stained(50)])
    torch.testing.assert_close(taught.inspector.memories[0].bank.origins, model.inspector.memories[0].bank.origins)


def test_the_commands_teach_flag_list_and_undo(sclvi, model, tmp_path):
    from sclvi.model_file import load, save

    path, fine, bad = tmp_path / "part.sclvi", tmp_path / "fine.png", tmp_path / "bad.png"
    save(model, path)
    Image.fromarray(stained(50)).save(fine)
    Image.fromarray(scarred(51)).save(bad)
    never_told = path.read_bytes()
    code, out, _ = sclvi("teach", path, fine, "--box", "88,30,20,20", "--by", "Ada")
    assert code == 0 and "1: taught" in out and "by Ada" in out and "now good" in out
    code, out, _ = sclvi("flag", path, bad, "--box", "24,84,20,20", "--box", "30,90,4,4")
    assert code == 0 and "2: flagged" in out and "now defective" in out and "promise" in out
    code, out, _ = sclvi("teach", path, "--list")
    assert code == 0 and out.count("\n") == 1 and "fine.png (box 88,30,20,20) by Ada" in out
    code, out, _ = sclvi("flag", path, "--list")
    assert out.count("\n") == 1 and "boxes 24,84,20,20 30,90,4,4" in out
    code, _, err = sclvi("teach", path, "--undo", "2")
    assert code == 2 and "nothing taught has number 2" in err
    code, out, _ = sclvi("teach", path, "--undo", "1")
    assert code == 0 and "undone: 1: taught" in out
    code, out, _ = sclvi("flag", path, "--undo")
    assert code == 0 and "undone: 2: flagged" in out
    assert load(path).fingerprint == model.fingerprint
    assert path.read_bytes() == never_told
    code, _, err = sclvi("flag", path, "--undo")
    assert code == 2 and "nothing to undo" in err


def test_one_bad_picture_does_not_stop_the_others_and_bad_calls_change_nothing(sclvi, model, tmp_path):
    from sclvi.model_file import load, save

    path, fine, broken = tmp_path / "part.sclvi", tmp_path / "fine.png", tmp_path / "broken.png"
    save(model, path)
    Image.fromarray(stained(50)).save(fine)
    broken.write_bytes(b"no picture")
    content = path.read_bytes()
    for arguments, says in (
        ([], "a picture is needed"),
        ([broken], "broken.png"),
        ([fine, "--box", "1,2,3"], "x,y,w,h"),
        ([fine, "--box", "100,100,90,4"], "does not lie"),
        ([fine, broken, "--box", "1,2,3,4"], "boxes are of one picture"),
    ):
        code, _, err = sclvi("teach", path, *arguments)
        assert code == 2 and says in err and err.count("\n") == 1, arguments
    assert path.read_bytes() == content
    code, _, err = sclvi("teach", path, broken, fine, "--quiet")
    assert code == 1 and "skipped" in err and "broken.png" in err
    assert [one.picture.name for one in load(path).corrections] == [str(fine)]


def test_teaching_what_was_flagged_says_what_counts_all_the_same(sclvi, model, tmp_path):
    from sclvi.model_file import save

    path, part = tmp_path / "part.sclvi", tmp_path / "part.png"
    save(model, path)
    Image.fromarray(stained(50)).save(part)
    box = ("--box", f"{STAIN.x},{STAIN.y},{STAIN.width},{STAIN.height}")
    assert sclvi("flag", path, part, *box)[0] == 0
    (line,) = sclvi("teach", path, part, *box)[1].splitlines()
    assert "now defective" in line and line.endswith(
        "what was flagged counts all the same, 'sclvi flag MODEL --undo N' takes it back"
    )
    assert "counts all the same" not in sclvi("flag", path, "--undo")[1]
    (line,) = sclvi("teach", path, part, *box)[1].splitlines()
    assert "now good" in line and "counts all the same" not in line


def test_a_number_is_not_given_again_after_an_undo(model):
    left = model.teach(stained(50), [STAIN]).flag(scarred(51), [SCAR]).undo(1)
    more = left.teach(stained(52), [STAIN])
    assert [one.number for one in more.corrections] == [2, 3]
    assert same(more.undo(3), left, [stained(60), scarred(61)])


def test_a_patch_that_was_taught_itself_is_not_raised_by_a_flag(model):
    part = stained(50)
    images = model.light(model.read(0, part).aligned[None])
    taught = model.teach(part, [STAIN])
    flagged = taught.flag(part, [STAIN])
    counted = 0
    for one, both in zip(taught.inspector.judge(images), flagged.inspector.judge(images), strict=True):
        itself = one.distances < 1e-3 * one.learned
        counted += int(itself.sum())
        torch.testing.assert_close(both.scores[itself], one.scores[itself])
    assert counted


def test_what_a_line_answers_beyond_the_box_is_taught_with_it(model):
    taught = model.teach(stained(50), [STAIN]).inspector.surface
    seen, distances = taught.judge(model.light(model.read(0, stained(50)).aligned[None]))[-1]
    mask = np.zeros((SIDE, SIDE), bool)
    mask[STAIN.y : STAIN.y + STAIN.height, STAIN.x : STAIN.x + STAIN.width] = True
    inside = patches_inside([mask], seen.extent, seen.stride, distances.shape[1:]).ravel()
    cells = taught.taught[-1].exemplars.origins % distances[0].numel()
    assert not inside[cells.numpy()].all()


def test_what_lies_around_an_unusual_patch_is_remembered_at_every_place_of_the_memory():
    unusual = torch.zeros(3, 3, dtype=torch.bool)
    unusual[1, 2] = True
    expected = np.zeros((5, 6), bool)
    expected[1:4, 3:6] = True
    np.testing.assert_array_equal(_around(unusual, (5, 6), 2), expected)


def test_undo_takes_back_the_last_of_several_and_boxes_are_not_of_undo_or_list(sclvi, model, tmp_path):
    from sclvi.model_file import load, save

    path = tmp_path / "part.sclvi"
    save(model, path)
    for number in (50, 52):
        Image.fromarray(stained(number)).save(tmp_path / f"{number}.png")
        assert sclvi("teach", path, tmp_path / f"{number}.png", "--quiet")[0] == 0
    content = path.read_bytes()
    for asked in (("1", "--undo"), ("--list", "1")):
        code, _, err = sclvi("teach", path, *asked, "--box", "88,30,20,20")
        assert code == 2 and "without --list and --undo" in err
    assert path.read_bytes() == content
    code, out, _ = sclvi("teach", path, "--undo")
    assert code == 0 and out.startswith("undone: 2: taught") and len(out.splitlines()) == 1
    assert [one.number for one in load(path).corrections] == [1]
