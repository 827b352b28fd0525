"""Layouts on folders made for the purpose: what is found, in which order, and what is refused with which line."""

import os
import unicodedata
from pathlib import Path

import pytest

from sclvi.data.layouts import Item, Layout, expand_pictures, find_layout, missing_masks
from sclvi.errors import SclviError


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


@pytest.fixture
def category(tmp_path):
    return touch(
        tmp_path / "bottle",
        *(f"train/good/{n:03}.png" for n in (2, 0, 1)),
        "test/good/000.png",
        "test/broken/001.png",
        "test/broken/000.png",
        "test/dirt/000.png",
        "ground_truth/broken/000_mask.png",
        "ground_truth/broken/001_mask.png",
        "ground_truth/dirt/000.png",
        "train/good/notes.txt",
        "test/.DS_Store",
    )


def relative(items, root):
    return [item.path.relative_to(root).as_posix() for item in items]


def refusal(root):
    with pytest.raises(SclviError) as caught:
        find_layout(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_category(category):
    truth = category / "ground_truth"
    assert find_layout(category) == Layout(
        train=tuple(Item(category / f"train/good/{n:03}.png", "good", None) for n in range(3)),
        test=(
            Item(category / "test/broken/000.png", "broken", truth / "broken/000_mask.png"),
            Item(category / "test/broken/001.png", "broken", truth / "broken/001_mask.png"),
            Item(category / "test/dirt/000.png", "dirt", truth / "dirt/000.png"),
            Item(category / "test/good/000.png", "good", None),
        ),
        name="bottle",
        masks=truth,
    )


def test_category_named_by_a_dot(category, monkeypatch):
    monkeypatch.chdir(category)
    assert find_layout(Path()).name == "bottle"


def test_missing_masks_are_named(category):
    assert missing_masks(find_layout(category)) == []
    (category / "ground_truth/broken/001_mask.png").unlink()
    (category / "ground_truth/dirt/000.png").unlink()
    layout = find_layout(category)
    assert [item.mask for item in layout.test[1:]] == [None, None, None]
    assert missing_masks(layout) == [
        category / "ground_truth/broken/001_mask.png",
        category / "ground_truth/dirt/000_mask.png",
    ]


def test_no_mask_is_missing_where_there_are_none_at_all(tmp_path):
    layout = find_layout(touch(tmp_path, "train/good/0.png", "test/broken/0.png"))
    assert [item.defect for item in layout.test] == ["broken"]
    assert missing_masks(layout) == []


def test_category_without_test(tmp_path):
    layout = find_layout(touch(tmp_path, "train/good/0.png"))
    assert (len(layout.train), layout.test) == (1, ())


def test_category_without_good_pictures(tmp_path):
    (tmp_path / "train/good").mkdir(parents=True)
    assert refusal(tmp_path).startswith(f"{tmp_path / 'train/good'}: holds no pictures")


def test_test_picture_without_a_folder(tmp_path):
    touch(tmp_path, "train/good/0.png", "test/0.png")
    assert refusal(tmp_path).startswith(f"{tmp_path / 'test/0.png'}: lies in test itself")


def test_folder_of_categories_names_them(tmp_path):
    touch(tmp_path, "screw/train/good/0.png", "bottle/train/good/0.png", "readme.txt", "other/0.png")
    assert refusal(tmp_path) == f"{tmp_path}: holds several categories, choose one of them: bottle, screw"


def test_train_and_test_without_good_is_not_taken_for_good_pictures(tmp_path):
    touch(tmp_path, "train/0.png", "test/bad/0.png")
    assert refusal(tmp_path) == f"{tmp_path}: has train and test, but no train/good"


@pytest.mark.parametrize("beside", ["test/good/0.png", "ground_truth/bad/0_mask.png"])
def test_a_category_without_train_is_not_taken_for_good_pictures(tmp_path, beside):
    touch(tmp_path, beside, "test/bad/0.png")
    assert "not all of it is good" in refusal(tmp_path) or refusal(tmp_path).endswith("but no train/good")


@pytest.mark.parametrize("above", ["line1", "2024/line1"])
def test_sorted_pictures_deeper_down_are_not_taken_for_good_ones(tmp_path, above):
    touch(tmp_path, f"{above}/good/0.png", f"{above}/cut/deep/0.png", "line2/good/0.png")
    assert refusal(tmp_path).startswith(f"{tmp_path / above}: holds good beside cut, so not all of it is good")
    touch(tmp_path / "fine", f"{above}/good/0.png", f"{above}/good/cut/0.png", "line2/ok/0.png", "line3/0.png")
    assert len(find_layout(tmp_path / "fine").train) == 4


def test_ok_and_good_in_capitals_are_good_test_pictures(tmp_path):
    touch(tmp_path, "train/good/0.png", "test/OK/0.png", "test/Good/0.png", "test/cut/0.png", "ground_truth/cut/0.png")
    layout = find_layout(tmp_path)
    assert [item.defect for item in layout.test] == ["good", "good", "cut"]
    assert missing_masks(layout) == []


def test_an_empty_test_folder_is_none(tmp_path):
    touch(tmp_path, "train/good/0.png", "test/notes.txt")
    assert find_layout(tmp_path).test == ()


@pytest.mark.parametrize("good", ["good", "OK"])
def test_a_folder_that_sorts_good_from_bad_is_not_taken_for_good_pictures(tmp_path, good):
    touch(tmp_path, f"{good}/0.png", "crack/0.png", "hole/deep/0.png")
    assert refusal(tmp_path) == (
        f"{tmp_path}: holds {good} beside crack, hole, so not all of it is good; "
        f"choose {tmp_path / good}, or move the good pictures into one folder"
    )
    touch(tmp_path / "only", f"{good}/0.png", f"{good}/monday/0.png", "notes/read.txt")
    assert len(find_layout(tmp_path / "only").train) == 2


def test_plain_folder(tmp_path):
    root = touch(
        tmp_path / "caps",
        "b.PNG",
        "a.jpg",
        "a.jpeg",
        "c.bmp",
        "monday/z.tif",
        "monday/a.tiff",
        "B.png",
        "notes.txt",
        "moving.gif",
        ".hidden.png",
        ".cache/0.png",
        "Thumbs.db",
        "png",
    )
    layout = find_layout(root)
    assert (layout.name, layout.test, layout.masks) == ("caps", (), None)
    found = ["B.png", "a.jpeg", "a.jpg", "b.PNG", "c.bmp", "monday/a.tiff", "monday/z.tif"]
    assert relative(layout.train, root) == found
    assert {item.defect for item in layout.train} == {"good"}


def test_order_does_not_depend_on_the_system(tmp_path, monkeypatch):
    names = ["a-b/0.png", "a/1.png", "a/0.png", "a.png", unicodedata.normalize("NFD", "é.png"), "z.png", "ê.png"]
    touch(tmp_path, *names)
    expected = ["a/0.png", "a/1.png", "a-b/0.png", "a.png", "z.png", names[4], "ê.png"]
    assert relative(find_layout(tmp_path).train, tmp_path) == expected
    walk = os.walk

    def backwards(folder, **options):
        for place, folders, files in walk(folder, **options):
            folders.sort(reverse=True)
            yield place, folders, sorted(files, reverse=True)

    monkeypatch.setattr(os, "walk", backwards)
    assert relative(find_layout(tmp_path).train, tmp_path) == expected


def test_what_inspect_drew_is_no_picture_but_what_lies_beside_it_is(tmp_path):
    touch(tmp_path, "0.png", "results/results.jsonl", "results/overlays/1.jpg", "results/comparisons/2.jpg")
    touch(tmp_path, "results/3.png", "overlays/4.png")  # no results.jsonl beside these
    assert relative(find_layout(tmp_path).train, tmp_path) == ["0.png", "overlays/4.png", "results/3.png"]


def test_linked_folders_are_followed_and_count_once(tmp_path):
    touch(tmp_path / "elsewhere", "1.png", "deeper/2.png")
    touch(tmp_path / "good", "0.png")
    (tmp_path / "good" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "good")  # a loop
    (tmp_path / "good" / "zz").symlink_to(tmp_path / "elsewhere")
    found = relative(find_layout(tmp_path / "good").train, tmp_path / "good")
    assert found == ["0.png", "linked/1.png", "linked/deeper/2.png"]


def test_nothing_to_learn_from(tmp_path):
    assert refusal(tmp_path / "nowhere") == f"{tmp_path / 'nowhere'}: does not exist"
    assert refusal(tmp_path).startswith(f"{tmp_path}: holds no pictures")
    touch(tmp_path, "text.txt")
    assert refusal(tmp_path).startswith(f"{tmp_path}: holds no pictures")
    assert refusal(tmp_path / "text.txt") == f"{tmp_path / 'text.txt'}: is neither a folder nor a .csv manifest"


def test_an_unreadable_folder_is_not_passed_over(tmp_path, monkeypatch):
    touch(tmp_path, "0.png", "locked/1.png")
    scandir = os.scandir

    def locked(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    stat = os.stat

    def below_locked(path, *arguments, **options):
        if "locked" in Path(path).parts[:-1]:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *arguments, **options)

    monkeypatch.setattr(os, "scandir", locked)
    monkeypatch.setattr(os, "stat", below_locked)
    assert refusal(tmp_path) == f"{tmp_path / 'locked'}: cannot be read: Permission denied"
    assert refusal(tmp_path / "locked" / "below") == f"{tmp_path / 'locked' / 'below'}: does not exist"
    assert expand_pictures([tmp_path / "0.png", tmp_path / "locked" / "1.png"])[1].name == "1.png"


# manifests


def manifest(tmp_path, text, encoding="utf-8"):
    touch(tmp_path, "g/1.png", "g/0.png", "t/0.png", "t/1.png", "t/2.png", "m/0.png")
    path = tmp_path / "parts.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_manifest(tmp_path):
    path = manifest(
        tmp_path,
        "path,split,label,mask\ng/1.png,train,good,\ng/0.png,train,0,\nt/1.png,test,scratch,m/0.png\n\nt/0.png,test,good,\nt/2.png,test,1,\n",
    )
    assert find_layout(path) == Layout(
        train=(Item(tmp_path / "g/0.png", "good"), Item(tmp_path / "g/1.png", "good")),
        test=(
            Item(tmp_path / "t/0.png", "good"),
            Item(tmp_path / "t/1.png", "scratch", tmp_path / "m/0.png"),
            Item(tmp_path / "t/2.png", "defect"),
        ),
        name="parts",
    )
    assert missing_masks(find_layout(path)) == []


def test_manifest_as_a_spreadsheet_writes_it(tmp_path):
    text = "\ufeffLabel; Split ;PATH;who\r\ngood;Train;g/0.png;me\r\n;test;t/0.png;me\r\n;train;g/1.png\r\n"
    layout = find_layout(manifest(tmp_path, text))
    assert [(item.path.name, item.defect) for item in layout.train] == [("0.png", "good"), ("1.png", "good")]
    assert [(item.path.name, item.defect) for item in layout.test] == [("0.png", "")]


@pytest.mark.parametrize(
    ("label", "defect"),
    [("OK", "good"), ("normal", "good"), ("0.0", "good"), ("1.0", "defect"), ("1", "defect"), ("10", "10")],
)
def test_labels_as_others_write_them(tmp_path, label, defect):
    layout = find_layout(manifest(tmp_path, f"path,split,label\nt/0.png,test,{label}\n"))
    assert [item.defect for item in layout.test] == [defect]


def test_manifest_with_absolute_paths(tmp_path):
    layout = find_layout(manifest(tmp_path, f"path,split,label\n{tmp_path / 'g/0.png'},train,good\n"))
    assert layout.train == (Item(tmp_path / "g/0.png", "good"),)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "row 1 lacks the column path, split, label"),
        ("path,label\ng/0.png,good\n", "row 1 lacks the column split"),
        ("path,split,label\n", "has no rows"),
        ("path,split,label\ng/0.png,train,good\ng/9.png,train,good\n", "row 3: picture {root}/g/9.png does not exist"),
        ("path,split,label\n\ng,train,good\n", "row 3: picture {root}/g does not exist"),
        ("path,split,label\n,train,good\n", "row 2: names no picture"),
        ("path,split,label,mask\nt/0.png,test,cut,m/7.png\n", "row 2: mask {root}/m/7.png does not exist"),
        ("path,split,label\ng/0.png,val,good\n", "row 2: split is 'val'"),
        ("path,split,label\ng/0.png,train,scratch\n", "row 2: a train picture has the label 'scratch'"),
        ("path,split,label\ng/0.png,train,good\ng/../g/0.png,test,good\n", "row 3: g/../g/0.png is already in row 2"),
        ("path,split,label\ng/0.png,train\n", "row 2: has 2 of 3 columns"),
    ],
)
def test_manifest_that_is_refused(tmp_path, text, why):
    path = manifest(tmp_path, text)
    assert refusal(path).startswith(f"{path}: {why.format(root=tmp_path)}")


def test_manifest_in_another_encoding(tmp_path):
    path = manifest(tmp_path, "path,split,label\ng/0.png,test,größe\n", "latin-1")
    assert refusal(path) == f"{path}: is not UTF-8 text"


# pictures to inspect


def test_expand_files_and_folders_once_each_in_order(tmp_path):
    touch(tmp_path, "b/1.png", "b/0.png", "b/deep/0.jpg", "b/notes.txt", "b/.x.png", "a.png", "odd.webp")
    asked = [tmp_path / "b", tmp_path / "odd.webp", tmp_path / "a.png", tmp_path / "b/../b/1.png", tmp_path / "b/0.png"]
    assert [path.relative_to(tmp_path).as_posix() for path in expand_pictures(asked)] == [
        "a.png",
        "b/0.png",
        "b/1.png",
        "b/deep/0.jpg",
        "odd.webp",
    ]


def test_two_names_of_one_file_are_two_pictures(tmp_path):
    touch(tmp_path, "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    assert [path.name for path in expand_pictures([tmp_path])] == ["a.png", "b.png"]


def test_expand_keeps_a_missing_file_so_that_the_others_are_done(tmp_path):
    touch(tmp_path, "a.png")
    named = [tmp_path / "a.png", tmp_path / "b.png"]
    assert expand_pictures(named) == named


def test_expand_refuses_what_is_not_there_at_all(tmp_path):
    with pytest.raises(SclviError, match="mistyped: does not exist"):
        expand_pictures([tmp_path / "mistyped", tmp_path / "b.png"])


def test_expand_refuses_an_empty_folder(tmp_path):
    touch(tmp_path, "a.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SclviError, match="empty: holds no pictures"):
        expand_pictures([tmp_path / "a.png", tmp_path / "empty"])
