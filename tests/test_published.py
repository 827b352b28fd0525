import csv
import sys
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal
from importlib.resources import files
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sclvi.errors import SclviError
from sclvi.evaluation.reproduce.comparison import write_comparison
from sclvi.evaluation.reproduce.figures import by_way
from sclvi.evaluation.reproduce.markdown import NO_ROWS, eta_table, overall_table, own_table, pretext_table
from sclvi.evaluation.reproduce.plot import plot_eta, spread_apart
from sclvi.evaluation.reproduce.published import PAPER_NAME, published

TEXTURES = ["carpet", "grid", "leather", "tile", "wood"]
OBJECTS = ["bottle", "cable", "capsule", "hazelnut", "metal_nut", "pill", "screw", "toothbrush", "transistor", "zipper"]
BY_CATEGORY = [(2, "detection"), (3, "segmentation"), (7, "detection"), (8, "segmentation")]


def exact(table, metric):
    """Decimals: sums of figures with one place must not gain dust."""
    return {key: Decimal(str(value)) for key, value in published(table, metric).items()}


def methods(table, metric):
    return {method for _, method in published(table, metric)}


def test_the_file_has_each_cell_of_the_six_tables_once():
    lines = (files("sclvi.evaluation.reproduce") / "published.csv").read_text().splitlines()
    keys = [tuple(line.split(",")[:4]) for line in lines[1:]]
    assert len(set(keys)) == len(keys)
    lines_by_columns = {"1": 2 * 7, "2": 18 * 9, "3": 18 * 8, "4": 4 * 6, "7": 18 * 6, "8": 18 * 6}
    assert Counter(table for table, *_ in keys) == lines_by_columns


@pytest.mark.parametrize(("table", "metric"), BY_CATEGORY)
def test_means_over_textures_and_over_objects_are_those_of_their_rows(table, metric):
    figures = exact(table, metric)
    for method in methods(table, metric):
        for name, categories in (("textures", TEXTURES), ("objects", OBJECTS)):
            assert sum(figures[category, method] for category in categories) / len(categories) == figures[name, method]


def test_means_over_all_are_those_of_their_rows_but_for_two_that_the_paper_cut_instead_of_rounding():
    off = {}
    for table, metric in BY_CATEGORY:
        figures = exact(table, metric)
        for method in methods(table, metric):
            mean = sum(figures[category, method] for category in TEXTURES + OBJECTS) / 15
            if mean.quantize(Decimal("0.01"), ROUND_HALF_UP) != figures["mean", method]:
                off[table, method] = (round(mean, 3), figures["mean", method])
    assert off == {
        (3, "VAEGRAD"): (Decimal("88.767"), Decimal("88.76")),
        (3, "PatchSVDD"): (Decimal("95.707"), Decimal("95.70")),
    }


@pytest.mark.parametrize(("metric", "table"), [("detection", 7), ("segmentation", 8)])
def test_table_1_is_the_means_of_tables_7_and_8(metric, table):
    means, detailed = exact(1, metric), exact(table, metric)
    assert methods(1, metric) - methods(table, metric) == {"NoSSL"}
    for method in methods(table, metric):
        assert detailed["mean", method].quantize(Decimal("0.1"), ROUND_HALF_UP) == means["mean", method]


def test_margins_in_the_text_of_section_4_3_are_those_of_the_tables():
    def margins(table, metric):
        means = {method: value for (category, method), value in exact(table, metric).items() if category == "mean"}
        ours = means.pop("Ours")
        return [ours - value for value in sorted(means.values(), reverse=True)]

    assert margins(2, "detection")[0] == Decimal("3.74")
    assert margins(3, "segmentation")[:2] == [Decimal("1.06"), Decimal("2.61")]


def test_patch_svdd_is_the_baseline_but_for_one_figure():
    for overall, detailed, metric, expected in [
        (2, 7, "detection", {"toothbrush"}),
        (3, 8, "segmentation", set()),
    ]:
        one, other = published(overall, metric), published(detailed, metric)
        assert {c for c in TEXTURES + OBJECTS if one[c, "PatchSVDD"] != other[c, "Jigsaw1"]} == expected


def test_each_pretext_has_a_column_in_table_1():
    assert set(PAPER_NAME.values()) == methods(1, "detection") == methods(1, "segmentation")


def test_own_data_have_two_figures_a_method():
    assert published(4, "detection")["SSW", "SPADE"] == 99.0
    assert published(4, "segmentation")["CP", "OURS"] == 97.0
    assert len(published(4, "segmentation")) == 2 * 6


@pytest.mark.parametrize(("table", "metric"), [(2, "segmentation"), (5, "detection"), (1, "image_auroc")])
def test_what_the_paper_does_not_have_is_an_error(table, metric):
    with pytest.raises(ValueError, match="no table"):
        published(table, metric)


def row(image, pixel="", **others):
    return {"image_auroc": image, "pixel_auroc": pixel, "encoder": "dense", **others}


def lines_of(text):
    return [line for line in text.splitlines() if line.startswith("|")]


PRETEXT_ROWS = [
    row(image, pretext=pretext, category=category, seed=seed, minutes=minutes)
    for pretext, category, seed, image, minutes in [
        ("eight", "commutator", "0", "0.50", "2.0"),
        ("eight", "commutator", "1", "0.58", "2.5"),
        ("eight", "bottle", "0", "0.95", "2.0"),
        ("eight", "bottle", "1", "0.95", "2.0"),
        ("twelve", "screw", "0", "0.80", "2.0"),
        ("twelve", "bottle", "0", "0.99", "2.0"),
        ("twelve", "bottle", "1", "0.97", "2.0"),
        ("twelve", "commutator", "0", "0.60", "2.0"),
        ("twelve", "commutator", "1", "0.70", "2.0"),
        ("eight", "screw", "0", "", "2.0"),
    ]
]


def test_pretexts_by_hand():
    text = pretext_table(PRETEXT_ROWS, "detection")
    # the means leave out screw, which `eight` lacks. Spread of twelve: (97 + 70) / 2 - (99 + 60) / 2
    assert lines_of(text) == [
        "| pretext | in the paper | paper: all 15 | paper: shared | ours: shared | difference | ours: all | spread |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| twelve | Ours | 95.3 | 99.9 | 98.0 | -1.9 | 81.5 | 4.0 |",
        "| eight | Jigsaw1 | 92.1 | 98.6 | 95.0 | -3.6 | 74.5 | 4.0 |",
        "| category | pretext | paper | ours | difference | spread |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        "| bottle | twelve | 99.9 | 98.0 | -1.9 | 2.0 |",
        "|  | eight | 98.6 | 95.0 | -3.6 | 0.0 |",
        "| screw | twelve | 89.2 | 80.0 | -9.2 | - |",
        "| commutator | twelve | - | 65.0 | - | 10.0 |",
        "|  | eight | - | 54.0 | - | 8.0 |",
    ]
    assert "encoder dense, mean over 1 to 2 seeds. Training took 2.0 to 2.5 minutes." in text
    assert "every pretext here has: bottle, commutator; shared with the paper: bottle." in text


def test_pretexts_of_segmentation_stand_beside_table_8():
    rows = [
        row("", "0.958", pretext="colour", category="pill", seed="0"),
        row("0.5", pretext="none", category="x", seed="0"),
    ]
    assert lines_of(pretext_table(rows, "segmentation"))[2::3] == [
        "| colour | RGB | 94.1 | 97.6 | 95.8 | -1.8 | 95.8 | - |",
        "| pill | colour | 97.6 | 95.8 | -1.8 | - |",
    ]


def test_a_pretext_without_figures_by_category_has_its_mean_of_table_1():
    rows = [row("0.75", pretext="none", category="bottle", seed="0")]
    table = lines_of(pretext_table(rows, "detection"))
    assert table[2] == "| none | NoSSL | 73.9 | - | 75.0 | - | 75.0 | - |"
    assert table[-1] == "| bottle | none | - | 75.0 | - | - |"


def test_overall_by_hand():
    rows = [
        row(image, pretext=pretext, category=category, seed=seed)
        for category, pretext, seed, image in [
            ("commutator", "twelve", "0", "0.64"),
            ("bottle", "twelve", "0", "0.98"),
            ("bottle", "twelve", "1", "1.00"),
            ("toothbrush", "twelve", "0", "0.95"),
            ("toothbrush", "eight", "0", "0.10"),
        ]
    ]
    assert lines_of(overall_table(rows, "detection")) == [
        "| category | paper | best other in the paper | ours | difference | spread |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| bottle | 99.9 | 99.9 (RIAD) | 99.0 | -0.9 | 2.0 |",
        "| toothbrush | 99.9 | 99.9 (PatchSVDD, RIAD) | 95.0 | -4.9 | - |",
        "| commutator | - | - | 64.0 | - | - |",
        "| mean: the 2 shared | 99.9 | 99.9 (RIAD) | 97.0 | -2.9 | - |",
        "| mean: all 3 of ours | - | - | 86.0 | - | - |",
        "| mean: all 15 of the paper | 95.8 | 92.1 (PatchSVDD) | - | - | - |",
    ]


def test_methods_level_in_a_mean_are_both_named():
    # PatchSVDD and RIAD: 457.4 / 5, which as floats differ in the last place
    categories = ["tile", "bottle", "cable", "capsule", "metal_nut"]
    table = overall_table([row("0.9", category=category, seed="0") for category in categories], "detection")
    assert "| mean: the 5 shared | 94.8 | 91.5 (PatchSVDD, RIAD) | 90.0 | -4.8 | - |" in table


def test_a_difference_that_rounds_to_nothing_has_no_minus():
    table = overall_table([row("0.99899", category="bottle", seed="0")], "detection")
    assert "| bottle | 99.9 | 99.9 (RIAD) | 99.9 | +0.0 | - |" in table


def test_overall_of_segmentation_stands_beside_table_3():
    table = lines_of(overall_table([row("", "0.97", category="tile", seed="0")], "segmentation"))
    assert table[2] == "| tile | 97.6 | 93.0 (AnoGAN) | 97.0 | -0.6 | - |"
    assert table[-1] == "| mean: all 15 of the paper | 96.8 | 95.7 (PatchSVDD) | - | - | - |"


def test_own_data_by_hand():
    rows = [
        row("0.60", "0.70", category="commutator", seed="0"),
        row("0.64", "", category="commutator", seed="1"),
        row("0.99", "0.98", category="bottle", seed="0"),
    ]
    assert lines_of(own_table(rows)) == [
        "| from | data | detection | spread | segmentation | spread |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        "| paper | CP | 99.9 | - | 97.0 | - |",
        "| paper | SSW | 99.9 | - | 89.0 | - |",
        "| ours | commutator | 62.0 | 4.0 | 70.0 | - |",
    ]
    assert own_table(rows[2:]) == NO_ROWS


def eta_rows():
    figures = {  # bottle, and pill that lacks a cell
        ("bottle", "affinity"): {"2": "0.91", "10": "0.95"},
        ("bottle", "mean"): {"2": "0.93", "10": "0.90"},
        ("screw", "affinity"): {"2": "0.81", "10": "0.83"},
        ("screw", "mean"): {"2": "0.83", "10": "0.80"},
        ("pill", "affinity"): {"2": "0.10", "10": "0.10"},
        ("pill", "mean"): {"2": "0.10", "10": ""},
    }
    return [
        row(value, value, category=category, fusion=fusion, eta=eta, seed="0")
        for (category, fusion), by_eta in figures.items()
        for eta, value in reversed(by_eta.items())
    ]


def test_etas_by_hand():
    text = eta_table(eta_rows(), "detection")
    assert lines_of(text) == [
        "| eta | affinity | plain average | difference |",
        "| ---: | ---: | ---: | ---: |",
        "| 2 | 86.0 | **88.0** | -2.0 |",
        "| 10 | **89.0** | 85.0 | +4.0 |",
    ]
    assert "both fusions have: bottle, screw." in text


def test_a_seed_that_lacks_an_eta_counts_nowhere():
    extra = [row("0.20", category="bottle", fusion="mean", eta="2", seed="1")]
    assert eta_table(eta_rows() + extra, "detection") == eta_table(eta_rows(), "detection")


def test_no_rows_make_one_line():
    empty = [row("", pretext="twelve", category="bottle", seed="0", fusion="mean", eta="1")]
    for rows in ([], empty):
        for text in (pretext_table(rows, "detection"), overall_table(rows, "segmentation"), own_table(rows)):
            assert text == NO_ROWS
        assert eta_table(rows, "detection") == NO_ROWS


def test_rows_made_in_another_way_make_a_table_of_their_own():
    others = [{**one, "encoder": "paper"} for one in PRETEXT_ROWS[:1]]
    alone, both = pretext_table(PRETEXT_ROWS, "detection"), pretext_table(PRETEXT_ROWS + others, "detection")
    assert both == f"{alone}\n\n{pretext_table(others, 'detection')}"


def test_with_a_budget_the_number_of_steps_does_not_part_rows():
    rows = [row("0.5", category="x", seed=seed, steps=steps, budget_minutes="3") for seed, steps in ("01", "12")]
    assert "a budget of 3 minutes for each training, mean over 2 seeds" in own_table(rows)
    assert own_table([{**one, "budget_minutes": ""} for one in rows]).count("| ours |") == 2


def test_two_rows_of_one_cell_are_an_error():
    with pytest.raises(SclviError, match="two result rows of pretext eight, category commutator, seed 0"):
        pretext_table(PRETEXT_ROWS + PRETEXT_ROWS[:1], "detection")


def test_plot_is_a_picture_with_both_curves(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "eta.png"
    plot_eta(eta_rows(), path)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width >= 1000
        assert picture.height >= 600
        colours = {colour: count for count, colour in picture.convert("RGB").getcolors(1 << 24)}
    assert colours[0, 0x72, 0xB2] > 1000
    assert colours[0xD5, 0x5E, 0] > 1000
    assert [file.name for file in tmp_path.iterdir()] == ["eta.png"]


def test_plot_of_nothing_or_of_a_mixture_is_an_error(tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(SclviError, match="nothing to draw"):
        plot_eta([], tmp_path / "eta.png")
    with pytest.raises(SclviError, match="encoder dense; encoder paper"):
        plot_eta(eta_rows() + [{**one, "encoder": "paper"} for one in eta_rows()], tmp_path / "eta.png")
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SclviError, match=r"pip install 'sclvi\[research\]'"):
        plot_eta(eta_rows(), tmp_path / "eta.png")


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=15).map(sorted), st.floats(0, 10 / 14))
def test_labels_are_spread_apart_within_the_panel(heights, gap):
    moved = spread_apart(heights, gap, -5, 5)
    assert all(upper - lower >= gap - 1e-9 for lower, upper in pairwise(moved))
    assert -5 - 1e-9 <= moved[0] <= moved[-1] <= 5 + 1e-9


def test_labels_far_apart_stay_and_near_ones_make_room_on_both_sides():
    assert spread_apart([0.0, 3.0, 3.5, 9.0], 1.0, 0.0, 9.0) == pytest.approx([0.0, 2.75, 3.75, 9.0])


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("encoder", ("dense", "paper"), "encoder {}"),
        ("light", ("picture", "mean"), "light {}"),
        ("batch", ("1", "16"), "batches of {}"),
        ("memory_strides", ("4 16", "16 16"), "memory strides {} px"),
        ("budget_minutes", ("10.0", "20.0"), "a budget of {} minutes for each training"),
        ("steps", ("200", "400"), "{} steps"),
    ],
)
def test_each_way_in_which_rows_may_differ_parts_them_and_is_told(column, values, words):
    rows = [{column: value} for value in values]
    assert list(by_way(rows)) == [words.format(value) for value in values]


def test_of_rows_made_in_several_ways_the_latest_are_plotted(tmp_path, monkeypatch):
    rows = [
        row("0.9", "0.9", category="bottle", seed="0", fusion=fusion, eta="1", steps=steps)
        for steps in ("200", "400")
        for fusion in ("affinity", "mean")
    ]
    with (tmp_path / "eta.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    plotted = []
    monkeypatch.setattr("sclvi.evaluation.reproduce.comparison.plot_eta", lambda some, path: plotted.extend(some))
    table, plot = write_comparison("figure3", tmp_path)
    assert "200 steps" in table.read_text() and "400 steps" in table.read_text()
    assert [one["steps"] for one in plotted] == ["400", "400"] and plot == tmp_path / "figure3.png"
