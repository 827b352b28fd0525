import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sclvi.decision.rules import Rules, read_rules
from sclvi.errors import SclviError


def test_what_a_file_says_is_read(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text("mm_per_px = 0.05\nminimum_area_mm2 = 1  # of the part\nmaximum_defects = 2\n")
    assert read_rules(path) == Rules(mm_per_px=0.05, minimum_area_mm2=1, maximum_defects=2)
    path.write_text("")
    assert read_rules(path) == Rules()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("minimum_area = 3", "minimum_area: no such rule; there are mm_per_px, minimum_area_px, "),
        ("[rules]\nmm_per_px = 1", "rules: no such rule"),
        ("mm_per_px = 0", "mm_per_px: Input should be greater than 0"),
        ("mm_per_px = inf", "mm_per_px: Input should be a finite number"),
        ("mm_per_px = '0.1'", "mm_per_px: Input should be a valid number"),
        ("maximum_defects = 1.5", "maximum_defects: Input should be a valid integer"),
        ("maximum_defects = true", "maximum_defects: Input should be a valid integer"),
        ("minimum_severity = -1", "minimum_severity: Input should be greater than or equal to 0"),
        ("minimum_area_mm2 = 1", "minimum_area_mm2 needs mm_per_px"),
        ("minimum_area_px 3", "not TOML ("),
        ("mm_per_px = 1\nmm_per_px = 2", "not TOML ("),
        ("\udcff", "not TOML ("),
        (None, "cannot be read (No such file or directory)"),
    ],
)
def test_a_bad_file_is_told_in_one_line(tmp_path, text, says):
    path = tmp_path / "rules.toml"
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SclviError) as caught:
        read_rules(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {says}") and "\n" not in message


def test_a_file_of_an_editor_that_marks_utf_8_is_read(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text("maximum_defects = 3\n", "utf-8-sig")
    assert read_rules(path).maximum_defects == 3


def test_defects_are_discounted_by_area_and_severity():
    rules = Rules(mm_per_px=0.1, minimum_area_px=20, minimum_area_mm2=0.5, minimum_severity=1.5, maximum_defects=1)
    ruling = rules.judge("defective", [(50, 1.5), (49, 9.0), (19, 1.4), (80, math.nan)])  # 0.5, 0.49, 0.19, 0.8 mm2
    areas = ("minimum_area_px", "minimum_area_mm2")
    assert ruling.discounted_by == ((), ("minimum_area_mm2",), (*areas, "minimum_severity"), ())
    assert (ruling.verdict, ruling.counted) == ("defective", 2)


DEFECTS = st.lists(st.tuples(st.integers(1, 100), st.floats(1, 5)), min_size=1, max_size=6)


@given(DEFECTS, st.integers(0, 7), st.integers(0, 100), st.floats(0, 5))
def test_accepted_exactly_when_no_more_defects_count_than_may(defects, most, area, severity):
    rules = Rules(minimum_area_px=area, minimum_severity=severity, maximum_defects=most)
    counted = sum(one >= area and other >= severity for one, other in defects)
    assert rules.judge("defective", defects).verdict == ("good" if counted <= most else "defective")


def test_rules_never_reject_what_is_good_nor_accept_what_has_no_defects_to_count():
    assert Rules().judge("good", []).verdict == "good"
    assert Rules(maximum_defects=99).judge("defective", []).verdict == "defective"  # its score is no number


def test_without_rules_every_defect_rejects():
    assert Rules().judge("defective", [(1, 1.01)]).verdict == "defective"


def test_rules_from_python_are_checked_too():
    with pytest.raises(ValidationError, match="minimum_area_mm2 needs mm_per_px"):
        Rules(minimum_area_mm2=1.0)
