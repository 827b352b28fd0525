"""Pictures of up to 16 channels from file to verdict: a defect that one channel alone shows is found."""

import json

import numpy as np
import pytest
import tifffile
import torch
from parts import SIDE, defective_part, good_part
from PIL import Image

import sclvi
from sclvi.data.good import read_good
from sclvi.data.preparing import prepare
from sclvi.errors import SclviError
from sclvi.progress import silent

# of twelve pictures a lower rate would take the worst for threshold, judged by what is usual of the eleven others
SETTINGS = sclvi.Settings(steps=2, batch=2, pairs=32, short_side=SIDE, synthetic_steps=0, false_reject_rate=0.3)
FAINT = 11  # the channel with the smallest numbers


def bands(number, defective_band=None):
    """SIDE x SIDE x 16 float: a part in 16 bands, each with its own gain, noise and unit; in one of them a blotch."""
    rng = np.random.default_rng((11, number))
    part = good_part(number, 1) / np.float32(255) * np.linspace(0.4, 1, 16, dtype=np.float32)
    part += rng.normal(0, 0.01, part.shape).astype(np.float32)
    if defective_band is not None:
        part[60:84, 40:64, defective_band] -= 0.1
    return part * units() + 3 * units()


def units():
    """A factor for each band, from a thousand down to a ten-thousandth, which is that of FAINT."""
    factors = np.float32(10.0) ** np.linspace(3, -3, 16, dtype=np.float32)
    factors[FAINT] = 1e-4
    return factors


@pytest.fixture(scope="module", params=[0, 20], ids=["no network for synthetic defects", "one that learned little"])
def model(request):
    settings = SETTINGS.model_copy(update={"synthetic_steps": request.param})
    return sclvi.train([bands(number) for number in range(12)], settings)


@pytest.mark.parametrize("band", [0, FAINT, 15])
def test_a_defect_in_one_of_sixteen_bands_is_found_where_it_is(model, band):
    assert model.channels == 16
    good = [inspection.score for inspection in model.inspect(bands(number) for number in range(100, 104))]
    (bad,) = model.inspect([bands(104, band)])
    assert bad.verdict == "defective" and bad.score > 1.5 * max(good)
    box = bad.defects[0].box
    assert box.x < 64 and box.x + box.width > 40 and box.y < 84 and box.y + box.height > 60


def test_the_other_fifteen_bands_know_nothing_of_it():
    """So that the test above cannot pass by a defect that all bands show."""
    difference = bands(104, FAINT) - bands(104)
    assert not np.delete(difference, FAINT, axis=2).any() and difference[..., FAINT].any()


def test_levels_survive_saving(model, tmp_path):
    sclvi.save(model, tmp_path / "bands.sclvi")
    again = sclvi.load(tmp_path / "bands.sclvi")
    for before, after in zip(*(one.inspect([bands(1), bands(2, FAINT)]) for one in (model, again)), strict=True):
        assert np.array_equal(before.anomaly_map, after.anomaly_map) and before == after
    with pytest.raises(SclviError, match="array 0: holds uint16 numbers where float is expected"):
        list(again.inspect([bands(1).astype(np.uint16)]))


def test_from_files_to_report(sclvi, tmp_path):
    good, new = tmp_path / "good", tmp_path / "new"
    good.mkdir()
    new.mkdir()
    for number in range(12):  # three ways to store the same
        picture = bands(number)
        if number % 3 == 0:
            np.save(good / f"{number}.npy", picture)
        else:
            how = "separate" if number % 3 == 1 else "contig"
            tifffile.imwrite(
                good / f"{number}.tif",
                picture.transpose(2, 0, 1) if how == "separate" else picture,
                photometric="minisblack",
                planarconfig=how,
                compression="zlib" if how == "contig" else None,
            )
    tifffile.imwrite(new / "bad.tif", bands(9, FAINT).transpose(2, 0, 1), photometric="minisblack")
    Image.fromarray(good_part(1)).save(new / "rgb.png")
    np.save(new / "fine.npy", bands(10))
    path = tmp_path / "bands.sclvi"
    options = ("--size", SIDE, "--steps", 1, "--synthetic-steps", 0, "--false-reject-rate", 0.5)
    code, out, err = sclvi("train", good, "--out", path, *options)
    assert (code, err) == (0, "") and "128x128 px, 16 channels" in out
    code, out, err = sclvi("inspect", path, new, "--out", tmp_path / "out", "--quiet")
    assert code == 1
    assert err.strip().endswith("rgb.png: has 3 channels where 16 are expected") and len(err.splitlines()) == 1
    records = [json.loads(line) for line in (tmp_path / "out/results.jsonl").read_text().splitlines()]
    verdicts = {record["image"].rsplit("/", 1)[1]: record["verdict"] for record in records}
    assert verdicts["bad.tif"] == "defective"
    assert {record["channels"] for record in records} == {16}
    assert "channels 1-3 of 16" in (tmp_path / "out/report.html").read_text()


def test_near_infrared_beside_rgb_is_seen(tmp_path):
    """Four channels of eight bits: RGB does not show the blotch, the fourth does, and no reader takes it for alpha."""

    def written(number, infrared):
        path = tmp_path / f"{number}.tif"
        four = np.concatenate([good_part(number), infrared(number, 1) // 3], axis=2)
        tifffile.imwrite(path, four, photometric="rgb", extrasamples=["unspecified"])
        return path

    model = sclvi.train([written(number, good_part) for number in range(8)], SETTINGS)
    assert model.channels == 4
    good, bad = model.inspect([written(50, good_part), written(51, defective_part)])
    assert (good.verdict, bad.verdict) == ("good", "defective")


def test_in_a_mixed_folder_the_channels_of_most_pictures_count_and_the_others_are_named(tmp_path):
    for number in range(3):
        Image.fromarray(good_part(number, 1).squeeze()).save(tmp_path / f"{number}.png")
    Image.fromarray(good_part(3)).save(tmp_path / "3.png")  # R, G and B are equal: grey in another form
    colour = good_part(4)
    colour[..., 0] //= 2
    Image.fromarray(colour).save(tmp_path / "4.png")
    np.save(tmp_path / "5.npy", bands(5))
    left_out = []
    good = read_good(tmp_path, (64, 64), 64, False, silent, lambda name, error: left_out.append(str(error)))
    assert good.images.shape == (4, 1, 64, 64)
    assert left_out == [
        f"{tmp_path / '4.png'}: has 3 channels where 1 is expected",
        f"{tmp_path / '5.npy'}: has 16 channels where 1 is expected",
    ]
    with pytest.raises(SclviError, match=r"4\.png: has 3 channels"):
        read_good(tmp_path, (64, 64), 64, False, silent, None)


def test_alpha_that_a_file_declares_is_no_channel(tmp_path):
    part = np.concatenate([good_part(0), good_part(1, 1)], axis=2)
    Image.fromarray(part).save(tmp_path / "a.png")
    Image.fromarray(good_part(2)).save(tmp_path / "b.png")
    assert read_good(tmp_path, (64, 64), 64, False, silent, None).channels == 3


@pytest.mark.parametrize("tile", [None, 64])
def test_what_is_learned_from_are_the_pictures_that_were_not_skipped(tile):
    parts = [good_part(number) for number in range(3)]
    tiny, four = np.zeros((4, 4, 3), np.uint8), np.zeros((*parts[0].shape[:2], 4), np.uint8)
    skipped = []
    mixed = [tiny, parts[0], four, parts[1], parts[2]]
    some, alone = (
        read_good(pictures, (128, 128), 128, False, silent, lambda name, _: skipped.append(name), tile=tile)
        for pictures in (mixed, parts)
    )
    assert skipped == ["array 0", "array 2"]
    assert [picture.name for picture in some.pictures] == ["array 1", "array 3", "array 4"]
    assert len(some.images) == len(alone.images)
    for images, others in ((some.images, alone.images), (some.whole, alone.whole)):
        numbers = torch.arange(len(images))
        assert torch.equal(images[numbers], others[numbers])
    assert torch.equal(some.whole[torch.tensor([1])][0], prepare(parts[1], (128, 128), 3))
