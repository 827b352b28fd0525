"""The results folder, its records, overlays and report."""

import base64
import csv
import io
import json
import math
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sclvi.data.box import Box
from sclvi.data.eight_bit import to_eight_bit
from sclvi.decision.inspection import Defect, Inspection, NearestGood
from sclvi.errors import SclviError
from sclvi.inspect_folder import _statistics
from sclvi.report import folder as folder_module
from sclvi.report import html as html_module
from sclvi.report.folder import ResultsFolder
from sclvi.report.heat import FAINTEST, lay_heat
from sclvi.report.histogram import histogram
from sclvi.report.html import _share, render_report
from sclvi.report.overlay import VERDICT_COLOURS, draw_overlay
from sclvi.report.picture import drawn_size, to_drawn_rgb
from sclvi.report.records import CSV_COLUMNS, from_line, results_csv, to_line, to_record
from sclvi.report.thumbnail import thumbnail

MODEL = "0123abcd"
HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)> 'ü №\u2028検.png"


def picture_of(size: tuple[int, int], channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, channels), np.uint8)


def inspection_of(image: Path | str = "a.png", size: tuple[int, int] = (60, 80), **changes: object) -> Inspection:
    good = NearestGood("good.png", Box(3, 4, 32, 32), 0.1 + 0.2)
    defect = Defect(Box(10, 20, 8, 6), 40, 2.5, 1.7, 2.5, good, ((10.0, 20.0), (18.0, 20.5), (12.25, 26.0)))
    inspection = Inspection(
        str(image),
        size,
        1 / 3 + 2,
        1.1,
        1.0,
        (defect,),
        np.full((16, 16), 0.2, np.float32),
        MODEL,
        12.5,
        {"level": 0.4},
        0.05,
        0.01,
    )
    return replace(inspection, **changes)


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Three pictures, two of them with the same name."""
    paths = [tmp_path / name for name in ("one/000.png", "two/000.png", "two/001.png")]
    for number, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(picture_of((60, 80), seed=number)).save(path)
    return paths


def inspect_all(results: ResultsFolder, images: list[Path]) -> list[Path]:
    """What `sclvi inspect` does; returns the pictures that were not done before."""
    fresh = [image for image in images if not results.is_done(image)]
    for image in fresh:
        results.add(inspection_of(image), np.asarray(Image.open(image)))
    return fresh


def records_in(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "results.jsonl").read_bytes().split(b"\n")[:-1]]


# records


def test_record_round_trip_keeps_full_precision():
    score = float(np.nextafter(2.0, 3.0))
    record = to_record(inspection_of(HOSTILE, score=np.float64(score)))
    assert from_line(to_line(record)) == record
    assert record["score"] == score and record["verdict"] == "defective"
    assert record["size"] == {"width": 80, "height": 60}
    assert record["defects"][0] == {
        "box": {"x": 10, "y": 20, "width": 8, "height": 6},
        "area": 40,
        "peak": 2.5,
        "mean": 1.7,
        "severity": 2.5,
        "nearest_good": {
            "picture": "good.png",
            "box": {"x": 3, "y": 4, "width": 32, "height": 32},
            "distance": 0.1 + 0.2,
            "compared": None,
        },
        "polygon": [[10.0, 20.0], [18.0, 20.5], [12.25, 26.0]],
        "area_mm2": None,
        "discounted_by": [],
        "region": "",
    }


def test_record_never_holds_not_a_number():
    nan = float("nan")
    record = to_record(inspection_of(score=float("inf"), defects=(Defect(Box(0, 0, 1, 1), 1, nan, nan, nan),)))
    assert record["score"] is None and record["verdict"] == "defective"
    assert record["defects"][0]["peak"] is None and record["defects"][0]["nearest_good"] is None
    to_line(record)  # would refuse a NaN


def test_name_that_is_not_utf8_comes_back():
    image = os.fsdecode(b"caf\xe9.png")
    assert from_line(to_line(to_record(inspection_of(image))))["image"] == image


@pytest.mark.parametrize("line", [b"", b"{", b"\xff\x00", b"[]", b"3", b'{"image": "a"}', b'{"image": "\xc3'])
def test_garbled_line_is_no_record(line: bytes):
    assert from_line(line) is None


@pytest.mark.parametrize("name", ["a\rb.png", "a\nb.png", "a\r\nb.png"])
def test_a_line_end_in_a_name_does_not_end_its_row(name):
    text = results_csv([to_record(inspection_of(name)), to_record(inspection_of("c.png"))]).decode()
    assert [row["image"] for row in csv.DictReader(io.StringIO(text, newline=""))] == [name, "c.png"]
    assert text.endswith("\n") and not text.endswith("\r\n")


def test_csv_rows():
    records = [to_record(inspection_of('a,"b"\n.png')), to_record(inspection_of("c.png", score=0.5, defects=()))]
    rows = list(csv.DictReader(io.StringIO(results_csv(records).decode(), newline="")))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert rows[0]["image"] == 'a,"b"\n.png' and float(rows[0]["score"]) == 1 / 3 + 2
    assert [rows[0][f"worst_{key}"] for key in ("x", "y", "width", "height", "area")] == ["10", "20", "8", "6", "40"]
    assert rows[1]["verdict"] == "good" and rows[1]["defects"] == "0" and rows[1]["worst_x"] == ""


# overlay


@pytest.mark.parametrize(
    ("size", "drawn"),
    [
        ((64, 64), (512, 512)),
        ((1, 1), (512, 512)),
        ((300, 500), (600, 1000)),
        ((512, 9), (512, 9)),
        ((3000, 4000), (1200, 1600)),
        ((20000, 3), (1600, 1)),
        ((900, 1600), (900, 1600)),
    ],
)
def test_drawn_size(size: tuple[int, int], drawn: tuple[int, int]):
    assert drawn_size(size) == drawn


def test_part_is_untouched_well_below_the_threshold():
    picture = picture_of((600, 520))
    calm = inspection_of(
        size=(600, 520), defects=(), score=0.5, anomaly_map=np.full((9, 9), 0.99 * FAINTEST, np.float32)
    )
    before = picture.copy()
    overlay = draw_overlay(picture, calm)
    assert overlay.dtype == np.uint8
    np.testing.assert_array_equal(overlay[:600, :520], picture)
    np.testing.assert_array_equal(picture, before)
    assert tuple(overlay[-1, -1]) == VERDICT_COLOURS["good"]


def test_heat_covers_only_the_hot_half_and_means_the_same_everywhere():
    picture = np.full((600, 600, 3), 90, np.uint8)
    anomaly_map = np.zeros((60, 60), np.float32)
    anomaly_map[:, 30:] = 2.0
    one = inspection_of(size=(600, 600), defects=(), anomaly_map=anomaly_map)
    overlay = draw_overlay(picture, one)[:600]
    assert (overlay[:, :290] == 90).all()
    assert (overlay[:, 320:] != 90).any(axis=2).all()
    other = replace(one, anomaly_map=anomaly_map * 7, pixel_threshold=7.0)
    np.testing.assert_array_equal(draw_overlay(picture, other)[:600], overlay)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_map_with_values_that_are_no_numbers(value: float):
    anomaly_map = np.full((60, 60), 0.1, np.float32)
    anomaly_map[0, 0] = value
    picture = picture_of((600, 600))
    overlay = draw_overlay(picture, inspection_of(size=(600, 600), defects=(), anomaly_map=anomaly_map))
    np.testing.assert_array_equal(overlay[100:600], np.concatenate([picture[100:], overlay[600:]])[:500])


def test_box_is_drawn_around_the_defect_and_hides_nothing_of_it():
    picture = np.full((600, 600, 1), 128, np.uint8)
    box = Box(200, 300, 80, 50)
    overlay = draw_overlay(picture, inspection_of(size=(600, 600), defects=(Defect(box, 9, 2, 2, 2),)))
    assert (overlay[300:350, 200:280] == 128).all()
    for row, column in [(299, 240), (350, 240), (325, 199), (325, 280)]:  # the inner, dark line
        assert tuple(overlay[row, column]) == (0, 0, 0)
    for row, column in [(298, 240), (351, 240), (325, 198), (325, 281)]:  # the white line
        assert tuple(overlay[row, column]) == (255, 255, 255)


def test_box_follows_enlargement():
    overlay = draw_overlay(
        np.full((64, 64, 1), 128, np.uint8),
        inspection_of(size=(64, 64), defects=(Defect(Box(32, 40, 4, 5), 9, 2, 2, 2),)),
    )
    assert (overlay[320:360, 256:288] == 128).all()
    assert tuple(overlay[318, 270]) == (255, 255, 255)
    assert tuple(overlay[361, 270]) == (255, 255, 255)


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (300, 30), (30, 900), (700, 1000)])
def test_any_shape_and_defects_at_the_rim_can_be_drawn(size: tuple[int, int]):
    height, width = size
    corners = [Box(x, y, 1, 1) for x in (0, width - 1) for y in (0, height - 1)] + [Box(0, 0, width, height)]
    defects = tuple(Defect(box, 1, 2.0, 2.0, 1e6) for box in corners) * 10
    overlay = draw_overlay(picture_of(size, 1), inspection_of(size=size, defects=defects, score=1.23456e11))
    assert overlay.shape[0] > drawn_size(size)[0] and overlay.shape[1] >= drawn_size(size)[1]


def test_depths_and_channels():
    ramp = np.linspace(0, 1, 600 * 600, dtype=np.float32).reshape(600, 600, 1)
    from_float = to_drawn_rgb(ramp)
    twelve_bit = to_drawn_rgb((ramp * 4095).astype(np.uint16))
    assert np.abs(from_float.astype(int) - twelve_bit).max() <= 1  # shown over its own range, not almost black
    four = picture_of((600, 600), 4)
    np.testing.assert_array_equal(to_drawn_rgb(four), four[:, :, :3])
    kelvins = ramp * 20 + 290
    assert np.abs(to_drawn_rgb(kelvins).astype(int) - from_float).max() <= 1
    tenths_of_a_millimetre = np.concatenate([ramp * 1e-4, ramp[::-1] * 50, ramp], axis=2)
    faint = to_drawn_rgb(tenths_of_a_millimetre)
    assert np.abs(faint[..., 1].astype(int) - faint[::-1, :, 0]).max() <= 1  # each channel over its own range
    assert not to_drawn_rgb(np.full((600, 600, 3), np.nan, np.float32)).any()
    assert to_drawn_rgb(np.full((600, 600), 40000, np.uint16)).shape == (600, 600, 3)
    for wrong in (np.zeros((4, 4, 3), np.int64), np.zeros((0, 4, 3), np.uint8), np.zeros(4, np.uint8)):
        with pytest.raises(ValueError, match="a picture is"):
            to_drawn_rgb(wrong)


def test_overlay_of_another_picture_is_refused():
    with pytest.raises(ValueError, match="its inspection is of"):
        draw_overlay(picture_of((60, 80)), inspection_of(size=(80, 60)))


# folder


def test_second_run_has_nothing_to_do(tmp_path: Path, images: list[Path]):
    assert inspect_all(ResultsFolder(tmp_path / "out", MODEL), images) == images
    assert inspect_all(ResultsFolder(tmp_path / "out", MODEL), images) == []
    overlays = {record["overlay"] for record in records_in(tmp_path / "out")}
    assert len(overlays) == 3  # equal names do not collide
    for overlay in overlays:
        assert Image.open(tmp_path / "out" / overlay).size[0] >= 512


def test_half_a_line_costs_only_its_picture(tmp_path: Path, images: list[Path]):
    inspect_all(ResultsFolder(tmp_path / "out", MODEL), images)
    journal = tmp_path / "out" / "results.jsonl"
    content = journal.read_bytes()
    ends = content.split(b"\n")
    start = len(content) - len(ends[-2]) - 1
    for length in (start + 1, start + 40, len(content) - 2):
        journal.write_bytes(content[:length])
        assert inspect_all(ResultsFolder(tmp_path / "out", MODEL), images) == images[2:]
        assert len(records_in(tmp_path / "out")) == 3


@pytest.mark.parametrize("content", [b'{"mine": "precious"}\n', b"words\n", b"\0\0", b'{"image": 3}\n'])
def test_what_inspect_did_not_write_is_left_alone(tmp_path: Path, content: bytes):
    (tmp_path / "results.jsonl").write_bytes(content)
    with pytest.raises(SclviError, match=r"results.jsonl: was not written by sclvi inspect"):
        ResultsFolder(tmp_path, MODEL)
    assert (tmp_path / "results.jsonl").read_bytes() == content


def test_results_of_an_older_sclvi_are_dropped_and_counted(tmp_path: Path, images: list[Path]):
    inspect_all(ResultsFolder(tmp_path / "out", MODEL), images)
    journal = tmp_path / "out" / "results.jsonl"
    first, *others = journal.read_bytes().split(b"\n")
    journal.write_bytes(b"\n".join([first.replace(b'"p_value"', b'"chance"'), *others]))
    again = ResultsFolder(tmp_path / "out", MODEL)
    assert again.dropped == 1
    assert inspect_all(again, images) == images[:1]


def test_a_picture_in_a_linked_folder_is_the_same_and_a_linked_picture_another(tmp_path: Path, images: list[Path]):
    (tmp_path / "link").symlink_to(images[0].parent)
    inspect_all(ResultsFolder(tmp_path / "out", MODEL), images)
    again = tmp_path / "link" / images[0].name
    other = tmp_path / "other.png"
    other.symlink_to(images[0])
    assert inspect_all(ResultsFolder(tmp_path / "out", MODEL), [again, other]) == [other]


def test_complete_line_without_its_line_feed_is_kept(tmp_path: Path, images: list[Path]):
    inspect_all(ResultsFolder(tmp_path / "out", MODEL), images[:2])
    journal = tmp_path / "out" / "results.jsonl"
    journal.write_bytes(journal.read_bytes()[:-1])
    assert inspect_all(ResultsFolder(tmp_path / "out", MODEL), images) == images[2:]
    assert len(records_in(tmp_path / "out")) == 3


def test_killed_between_overlay_and_record(tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch):
    results = ResultsFolder(tmp_path / "out", MODEL)
    inspect_all(results, images[:1])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ResultsFolder, "_append", killed)
        inspect_all(results, images)
    assert len(list((tmp_path / "out" / "overlays").iterdir())) == 2
    (tmp_path / "out" / "overlays" / ".sclvi-0123.tmp").write_bytes(b"half")
    again = ResultsFolder(tmp_path / "out", MODEL)
    assert inspect_all(again, images) == images[1:]
    assert len(list((tmp_path / "out" / "overlays").iterdir())) == 3


def test_changed_picture_is_redone_and_replaced(tmp_path: Path, images: list[Path]):
    inspect_all(ResultsFolder(tmp_path / "out", MODEL), images)
    status = images[0].stat()
    os.utime(images[0], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    results = ResultsFolder(tmp_path / "out", MODEL)
    assert inspect_all(results, images) == images[:1]
    results.finish()
    assert sorted(record["image"] for record in records_in(tmp_path / "out")) == sorted(map(str, images))


def test_change_between_reading_and_writing_is_noticed_by_the_next_run(tmp_path: Path, images: list[Path]):
    results = ResultsFolder(tmp_path / "out", MODEL)
    assert not results.is_done(images[0])
    picture = np.asarray(Image.open(images[0]))
    os.utime(images[0], ns=(1, 1))
    results.add(inspection_of(images[0]), picture)
    assert not ResultsFolder(tmp_path / "out", MODEL).is_done(images[0])


def test_lost_overlay_is_redone(tmp_path: Path, images: list[Path]):
    results = ResultsFolder(tmp_path / "out", MODEL)
    inspect_all(results, images)
    (tmp_path / "out" / records_in(tmp_path / "out")[1]["overlay"]).unlink()
    assert inspect_all(results, images) == images[1:2]


def test_results_of_another_model_are_dropped_with_their_overlays(tmp_path: Path, images: list[Path]):
    inspect_all(ResultsFolder(tmp_path / "out", MODEL), images)
    results = ResultsFolder(tmp_path / "out", "other")
    assert results.dropped == len(images) and len(results) == 0
    assert not any(map(results.is_done, images))
    assert not list((tmp_path / "out" / "overlays").iterdir())
    results.add(inspection_of(images[0], model="other"), np.asarray(Image.open(images[0])))
    assert [record["model"] for record in records_in(tmp_path / "out")] == ["other"]
    with pytest.raises(ValueError, match="results of other"):
        results.add(inspection_of(images[0]), np.asarray(Image.open(images[0])))


def test_a_picture_is_the_same_by_whichever_path_it_is_named(
    tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
):
    results = ResultsFolder(tmp_path / "out", MODEL)
    inspect_all(results, images)
    monkeypatch.chdir(images[0].parent)
    near = Path(images[0].name)
    assert results.is_done(near) and results.record(near) is not None
    results.add(inspection_of(near), np.asarray(Image.open(near)))
    again = ResultsFolder(tmp_path / "out", MODEL)
    assert len(again) == len(images) == len(list((tmp_path / "out" / "overlays").iterdir()))
    assert again.is_done(images[0])


def test_the_same_name_in_another_working_folder_is_another_picture(
    tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
):
    for folder in ("one", "two"):
        monkeypatch.chdir(tmp_path / folder)
        assert inspect_all(ResultsFolder(tmp_path / "out", MODEL), [Path("000.png")]) == [Path("000.png")]
    results = ResultsFolder(tmp_path / "out", MODEL)
    assert len(results) == 2 and all(map(results.is_done, images[:2]))
    rows = list(csv.DictReader(io.StringIO(results_csv(records_in(tmp_path / "out")).decode())))
    assert [row["image"] for row in rows] == ["000.png"] * 2
    assert [row["path"] for row in rows] == [str(image) for image in images[:2]]


def test_pictures_of_earlier_calls_stay_and_skipped_ones_are_told(tmp_path: Path, images: list[Path]):
    first = ResultsFolder(tmp_path / "out", MODEL)
    inspect_all(first, images[:2])
    first.skip(images[2], "not a picture")
    first.finish()
    assert "not a picture" in (tmp_path / "out" / "skipped.csv").read_text()
    second = ResultsFolder(tmp_path / "out", MODEL)
    inspect_all(second, images[2:])
    second.skip(images[0], f"{images[0]}: truncated")
    page = second.finish().read_text()
    assert f"{images[0]}: truncated" in page
    rows = list(csv.DictReader((tmp_path / "out" / "results.csv").open()))
    assert [row["image"] for row in rows] == [str(image) for image in images[1:]]
    third = ResultsFolder(tmp_path / "out", MODEL)
    third.finish()
    assert not (tmp_path / "out" / "skipped.csv").exists()


def test_arrays_are_reported_but_never_done(tmp_path: Path):
    results = ResultsFolder(tmp_path / "out", MODEL)
    results.add(inspection_of("array 0"), picture_of((60, 80)))
    assert records_in(tmp_path / "out")[0]["file"] is None
    assert not results.is_done(Path("array 0"))


def test_impossible_folder_is_told_in_one_line(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(SclviError) as caught:
            ResultsFolder(place, MODEL)
        assert str(caught.value).startswith(f"{place}: cannot be used as results folder (")
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_told(tmp_path: Path, images: list[Path]):
    results = ResultsFolder(tmp_path / "out", MODEL)
    (tmp_path / "out" / "results.jsonl").symlink_to("/dev/full")
    with pytest.raises(SclviError, match=r"results.jsonl: cannot be written \(No space left on device\)"):
        inspect_all(results, images)


def test_results_stay_when_the_report_cannot_be_written(
    tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
):
    results = ResultsFolder(tmp_path / "out", MODEL)
    inspect_all(results, images)
    old = results.finish().read_bytes()
    write = folder_module.write_atomically

    def refuse(path: Path, data: bytes) -> None:
        if path.name == "report.html":
            raise SclviError(f"{path}: cannot be written (No space left on device)")
        write(path, data)

    monkeypatch.setattr(folder_module, "write_atomically", refuse)
    with pytest.raises(SclviError, match=r"report\.html"):
        results.finish()
    assert (tmp_path / "out" / "report.html").read_bytes() == old


# report


class Page(HTMLParser):
    """The tags with their attributes, and the texts."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str, name: str) -> list[str | None]:
        return [attributes[name] for found, attributes in self.tags if found == tag and name in attributes]


def test_hostile_names_are_text(tmp_path: Path):
    results = ResultsFolder(tmp_path, MODEL)
    good = NearestGood(HOSTILE, Box(3, 4, 32, 32), 0.3)
    results.add(
        inspection_of(f"in/{HOSTILE}", defects=(Defect(Box(1, 1, 9, 9), 40, 2.5, 1.7, 2.5, good),)),
        picture_of((60, 80)),
    )
    results.skip(HOSTILE, HOSTILE)
    results.skip(os.fsdecode(b"caf\xe9.png"), "not a picture")
    page = Page(results.finish().read_bytes())
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert [text for text in page.texts if HOSTILE in text]
    assert page.all("article", "data-name") == [f"in/{HOSTILE}"]


def test_report_loads_nothing_and_shows_the_worst_first(tmp_path: Path, images: list[Path]):
    results = ResultsFolder(tmp_path / "out", MODEL)
    for image, score in zip(images, (0.5, 9.0, 1.2), strict=True):
        results.add(inspection_of(image, score=score), np.asarray(Image.open(image)))
    content = results.finish().read_bytes()
    page = Page(content)
    assert not re.search(rb"https?://|@import|url\(|<link|<iframe", content)
    sources = page.all("img", "src")
    assert len(sources) == 3 and all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert all(page.all("img", "alt")[:3])
    assert page.all("article", "data-name") == [str(images[index]) for index in (1, 2, 0)]
    assert page.all("article", "data-verdict") == ["defective", "defective", "good"]
    for overlay in page.all("button", "data-overlay"):
        assert (tmp_path / "out" / overlay).is_file()
    text = re.sub(r"\s+", " ", " ".join(page.texts))
    assert "All 3" in text and "Defective 2" in text and "Good 1" in text and MODEL in text
    assert "nearest good patch: good.png at 3, 4" in text


def test_many_pictures_are_listed_without_thumbnail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(html_module, "MOST_THUMBNAILS", 2)
    records = [to_record(inspection_of(f"{number}.png", score=float(number))) for number in range(5)]
    page = Page(render_report(records, [], tmp_path, MODEL))
    assert page.all("article", "data-name") == ["4.png", "3.png"]
    assert page.all("tr", "data-name") == ["2.png", "1.png", "0.png"]
    assert any("Only the 2 worst pictures" in text for text in page.texts)


def test_200_thumbnails_of_noise_stay_under_20_mb(tmp_path: Path):
    results = ResultsFolder(tmp_path, MODEL)  # noise is the worst case for JPEG
    results.add(inspection_of(size=(1000, 1000)), picture_of((1000, 1000)))
    thumbnail = Page(results.finish().read_bytes()).all("img", "src")[0]
    assert 200 * len(thumbnail) < 19e6


def test_empty_and_unknown_scores_can_be_reported(tmp_path: Path):
    assert "No picture was inspected" in "".join(Page(render_report([], [], tmp_path, MODEL)).texts)
    record = to_record(inspection_of(score=float("nan"), threshold=float("nan")))
    words = " ".join("".join(Page(render_report([record], [], tmp_path, MODEL)).texts).split())
    assert "? / ?" in words and "nan" not in words.lower()


@pytest.mark.parametrize(
    ("scores", "threshold"),
    [
        ([1.0], 1.0),
        ([0.0, 0.0], 0.0),
        ([1.0, 1.0000000000000002], 1.0),
        ([-3.0, 2.0, 5.0], 1.0),
        ([1e-300, 1e300], 1.0),
        ([-1.7e308, 1.7e308], 0.0),
        ([0.01, 0.02, 1000.0], 0.5),
        ([0.5] * 3, 2e-9),
    ],
)
def test_histogram_counts_each_score_on_its_side_of_the_threshold(scores: list[float], threshold: float):
    plot = histogram(scores, threshold)
    above = sum(score > threshold for score in scores)
    assert sum(bar.count for bar in plot.bars if bar.defective) == above
    assert sum(bar.count for bar in plot.bars) == len(scores)
    for bar in plot.bars:
        assert -1e-6 <= bar.left <= bar.left + bar.width <= 100 + 1e-6
        assert (bar.left >= plot.threshold - 1e-6) == bar.defective
    assert 2 <= len(plot.ticks) <= 13 and all(0 <= position <= 100 for position, _ in plot.ticks)


ODD = Defect(Box(10, 20, 8, 6), 40, 2.75, 1.7, 2.5)  # no two of its numbers are equal


def test_what_is_no_number_is_defective_and_what_reaches_the_threshold_is_good():
    assert inspection_of(score=float("nan")).verdict == "defective"
    assert inspection_of(score=1.1).verdict == "good"


def test_each_number_stands_under_its_own_name():
    record = to_record(inspection_of(defects=(ODD,), p_value=0.25, promised_rate=0.02, pixel_threshold=0.9))
    assert (record["threshold"], record["pixel_threshold"]) == (1.1, 0.9)
    assert (record["p_value"], record["promised_rate"]) == (0.25, 0.02)
    (row,) = csv.DictReader(io.StringIO(results_csv([record]).decode()))
    assert (row["worst_peak"], row["worst_severity"], row["p_value"]) == ("2.75", "2.5", "0.25")


def test_a_score_that_is_no_number_is_the_highest_for_drift():
    assert _statistics(to_record(inspection_of(score=float("nan"))))["score"] == math.inf


def test_what_the_overlay_says(monkeypatch: pytest.MonkeyPatch):
    told: list[str] = []
    plain = ImageDraw.ImageDraw.text

    def text(self: ImageDraw.ImageDraw, at: object, words: str, *others: object, **options: object) -> None:
        told.append(words)
        plain(self, at, words, *others, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    defects = (ODD, replace(ODD, box=Box(300, 300, 9, 9), severity=1.25))
    inspection = inspection_of(size=(600, 800), score=2.25, threshold=1.5, defects=defects)
    draw_overlay(picture_of((600, 800)), inspection)
    assert [one for one in told if ":" in one] == ["1: 2.5x", "2: 1.2x"]
    assert "score 2.25 / threshold 1.5" in told and "".join(told).count("DEFECTIVE") == 1


def test_a_good_part_has_the_mark_of_good_ones(monkeypatch: pytest.MonkeyPatch):
    marks: list[bool] = []
    monkeypatch.setattr("sclvi.report.overlay._draw_mark", lambda draw, x, y, side, good: marks.append(good))
    for score in (0.5, 2.0):
        draw_overlay(picture_of((600, 800)), inspection_of(size=(600, 800), score=score, defects=()))
    assert marks == [True, False]


def test_the_worst_come_first_and_the_meter_is_full_at_twice_the_threshold(tmp_path: Path):
    scores = (0.55, 1.1, float("nan"), 9.0)
    records = [to_record(inspection_of(f"{n}.png", score=score)) for n, score in enumerate(scores)]
    assert [_share(record) for record in records] == [25, 50, 100, 100]
    page = Page(render_report(records, [], tmp_path, MODEL))
    assert page.all("article", "data-name") == ["2.png", "3.png", "1.png", "0.png"]


def test_a_thumbnail_of_an_overlay_lacks_its_strip(tmp_path: Path):
    drawn = Image.new("RGB", (1000, 700), "black")
    drawn.paste("red", (0, 0, 1000, 600))
    drawn.save(tmp_path / "a.png")
    data = thumbnail(tmp_path / "a.png", (300, 500))  # drawn as 600 x 1000, and a strip of 100
    small = Image.open(io.BytesIO(base64.b64decode(data.split(",")[1])))
    assert small.size == (480, 288) and small.getpixel((5, 283))[0] > 200


def test_one_hot_pixel_of_a_map_larger_than_the_picture_shows():
    anomaly = np.zeros((2000, 2000), np.float32)
    anomaly[1001, 1001] = 3.0
    assert (lay_heat(np.full((500, 500, 3), 90, np.uint8), anomaly, 1.0) != 90).any()


def test_noise_of_a_few_steps_of_sixteen_bits_is_not_stretched_to_all_of_eight():
    dim = np.full((64, 64), 1000, np.uint16) + np.arange(64, dtype=np.uint16) % 4
    assert np.ptp(to_eight_bit(dim)) <= 4


def test_a_comparison_of_before_goes_with_its_record(tmp_path: Path):
    results = ResultsFolder(tmp_path, MODEL)
    results.add(inspection_of("a.png"), picture_of((60, 80)))
    (overlay,) = (tmp_path / "overlays").iterdir()
    (tmp_path / "comparisons" / overlay.name).write_bytes(b"old")
    results.add(inspection_of("a.png"), picture_of((60, 80)))
    assert not list((tmp_path / "comparisons").iterdir())
